"""The checks of the baseline: that it is the FP32 model of this candidate, and answers as one."""

import math

from quantkit.artifact import Manifest
from quantkit.artifact.artifact import COMPANIONS
from quantkit.metrics.bootstrap import RatioStatistics
from quantkit.metrics.metric import Chance, Mean, measures_of
from quantkit.metrics.resampled import lower_bound
from quantkit.recipe.settings import GateSettings
from quantkit.records import Check, Evaluation
from quantkit.records.evaluation import NO_ANSWER
from quantkit.records.gate import OF_A_STUDENT
from quantkit.report.digits import cut, short
from quantkit.verdict.evidence import GateEvidence, metric_in

LEAST_AGREEMENT = 0.9
"""Of the signs of each weight. Measured: 0.98 and more for every way quantkit quantizes, 0.6 and less for strangers."""
MOST_GAIN = 1.02
"""Which the lower bound of the ratio may reach. Rounding to INT8 loses or changes nothing; it does not teach."""
_CONFIG = "config.json"
_SURE = 1.645  # standard errors of a one-sided 95 %


def check_lineage(evidence: GateEvidence, settings: GateSettings) -> Check:
    """Require the same config and tokenizer, byte by byte, and say what both manifests claim besides.

    With a fixed reference the ratio is not to this baseline, which may be of another architecture: then the
    check is shown and not counted. Of a student the config is another one, and its export must name the baseline's
    checkpoint as its teacher.
    """
    if settings.student:
        return _check_teacher(evidence, settings)
    candidate, baseline = evidence.candidate.manifest, evidence.baseline.manifest
    exports = [record.key for record in (candidate.stage("export"), baseline.stage("export")) if record]
    differing = [name for name in COMPANIONS if candidate.files.get(name) != baseline.files.get(name)]
    if candidate.parent == evidence.baseline.digest:
        claim = ", says it was made from this baseline"
    elif len(exports) == 2 and exports[0] == exports[1] != "":
        claim = ", both say they are of one export"
    else:
        claim = ""
    found = f"differ in {', '.join(differing)}" if differing else "same config and tokenizer"
    if baseline.precision != "fp32":
        claim += f"; the baseline is {baseline.precision}"
    return Check(
        name="lineage",
        required="same config and tokenizer, FP32",
        observed=found + claim,
        verdict="fail" if differing or baseline.precision != "fp32" else "pass",
        decides=settings.reference_f1 is None,
    )


def check_weights(evidence: GateEvidence, settings: GateSettings) -> Check:
    """Require that the candidate's weights are the baseline's, as far as quantization keeps them: by their signs."""
    if settings.student:
        return _check_tables(evidence, settings)
    worst = evidence.lineage.worst
    if worst is None:
        observed, enough = "the baseline has no float layer to compare", False
    else:
        observed = f"{cut(worst.agreement)} in {worst.name}, the least of {_count(evidence)}"
        enough = worst.agreement >= LEAST_AGREEMENT
    return Check(
        name="weights",
        required=f">= {LEAST_AGREEMENT} of the signs of each weight's larger half are the baseline's",
        observed=observed,
        verdict="pass" if enough else "fail",
        decides=settings.reference_f1 is None,
    )


def _check_teacher(evidence: GateEvidence, settings: GateSettings) -> Check:
    """Require that a student's export names the baseline's checkpoint as its teacher, and the same tokenizer."""
    candidate, baseline = evidence.candidate.manifest, evidence.baseline.manifest
    said, teacher = _exported(candidate, "teacher_digest"), _exported(baseline, "checkpoint_digest")
    files = [name for name in COMPANIONS if name != _CONFIG]
    differing = [name for name in files if candidate.files.get(name) != baseline.files.get(name)]
    if said is None:
        found = "its export names no teacher"
    elif said != teacher:
        found = f"its export names the teacher {short(said)}, and the baseline is of {short(teacher or 'no known one')}"
    else:
        found = f"says its teacher is {short(said)}, the baseline's checkpoint"
    found += f"; differ in {', '.join(differing)}" if differing else ", same tokenizer"
    if baseline.precision != "fp32":
        found += f"; the baseline is {baseline.precision}"
    fine = said is not None and said == teacher and not differing and baseline.precision == "fp32"
    return Check(
        name="lineage",
        required=OF_A_STUDENT,
        observed=found,
        verdict="pass" if fine else "fail",
        decides=settings.reference_f1 is None,
    )


def _exported(manifest: Manifest, fact: str) -> str | None:
    """Return a digest that the export recorded, None where it recorded none."""
    record = manifest.stage("export")
    found = None if record is None else record.facts.get(fact)
    return found if isinstance(found, str) and found else None


def _check_tables(evidence: GateEvidence, settings: GateSettings) -> Check:
    """Require that a student's embedding tables are the baseline's; how many of its layers are is only said."""
    tables, layers = evidence.lineage.tables, evidence.lineage.layers
    same = sum(layer.agreement >= LEAST_AGREEMENT for layer in layers)
    worst = min(tables, key=lambda one: one.agreement, default=None)
    observed = "the baseline has no embedding table to compare"
    if worst is not None:
        observed = f"{cut(worst.agreement)} in {worst.name}, the least of {len(tables)} tables"
    return Check(
        name="weights",
        required=f">= {LEAST_AGREEMENT} of the signs of each embedding's larger half are the baseline's",
        observed=f"{observed}; {same} of {len(layers)} layers agree, not counted",
        verdict="pass" if worst is not None and worst.agreement >= LEAST_AGREEMENT else "fail",
        decides=settings.reference_f1 is None,
    )


def _count(evidence: GateEvidence) -> str:
    return f"{len(evidence.lineage.layers)} layers and {len(evidence.lineage.tables)} tables"


def check_baseline(evidence: GateEvidence, settings: GateSettings) -> Check:
    """Require that the baseline multiplies in float: by the kernels it executes, not by what it is called."""
    coverage = evidence.baseline_inspection.int8_coverage
    return Check(
        name="baseline",
        required="no linear MACs in integer kernels",
        observed=f"{cut(coverage)} of them",
        verdict="pass" if coverage == 0 else "fail",
        decides=settings.reference_f1 is None,
    )


def check_gain(statistics: RatioStatistics, settings: GateSettings) -> Check:
    """Require that the candidate is not far better than its baseline, which then is none.

    What the interval cannot exclude is let pass: on few questions an honest ratio can be far above 1. A student was
    trained, and may gain: of it the check is shown and not counted.
    """
    return Check(
        name="gain",
        required=f"lower bound of the ratio <= {MOST_GAIN}",
        observed=cut(statistics.low),
        verdict="pass" if statistics.low <= MOST_GAIN else "fail",
        decides=settings.reference_f1 is None and not settings.student,
    )


def check_chance(evidence: GateEvidence, settings: GateSettings) -> Check:
    """Require that the baseline's score is surely above what guessing gives: keeping nothing is no merit.

    The bound is the mean less 1.645 standard errors, counting two answers more on either side (Agresti and Coull 1998,
    "Approximate is better than exact", The American Statistician 52), so that three right answers of three are not
    certainty. Of a metric that is no mean, the standard error is that of resamples.
    """
    metric, evaluation = metric_in(evidence), evidence.baseline_evaluation
    measures = measures_of(evaluation.scores)
    chance = max(
        metric.chance(measures, evidence.labels), _silence(evaluation), key=lambda guess: guess.percent
    )
    low = _lower_bound(evaluation) if isinstance(metric, Mean) else 100 * lower_bound(metric, measures)
    return Check(
        name="chance",
        required=f"baseline {evaluation.metric} surely above {cut(chance.percent, 3)}, {chance.words}",
        observed=f"above {cut(low, 3)}",
        verdict="pass" if low > chance.percent else "fail",
        decides=settings.reference_f1 is None,
    )


def _silence(evaluation: Evaluation) -> Chance:
    """Return what never answering reaches, where no answer can be right."""
    silent = evaluation.parts.get(NO_ANSWER)
    share = 100.0 * silent.questions / evaluation.questions if silent else 0.0
    return Chance(percent=share, words="no answer to any question")


def _lower_bound(evaluation: Evaluation) -> float:
    """Return the one-sided 95 % lower bound of the mean F1, in percent."""
    scores = [score.f1 for score in evaluation.scores] + [0.0, 0.0, 1.0, 1.0]
    mean = math.fsum(scores) / len(scores)
    variance = math.fsum((score - mean) ** 2 for score in scores) / len(scores)
    return 100 * (mean - _SURE * math.sqrt(variance / len(scores)))
