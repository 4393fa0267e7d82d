"""The gate's verdicts: every check, both policies, and evidence that is refused."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from gate_evidence import evaluation_of, inspection_of, lineage_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantkit.artifact import Artifact, StageRecord, new_artifact
from quantkit.errors import ArtifactError, EvaluationError, OutputError, UsageError
from quantkit.recipe.settings import GateSettings
from quantkit.records import Check, Evaluation, GateReport, QuestionScore, scores_digest
from quantkit.records.evaluation import PartScore
from quantkit.stages.gate import GateEvidence, append_summary, evidence_of, gate, write_reports
from quantkit.verdict.checks import reaches
from quantkit.verdict.recorded import EVALUATION, PREDICTIONS, read_evidence

SQUAD_DEV = "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9"
CONFIG = '{"model_type": "bert"}'
FAST = {"resamples": 200}
FUSED = StageRecord(stage="fuse", facts={"expected": {"BiasGelu": 2}})


def make_artifact(
    path: Path,
    *,
    precision: str,
    size: int,
    files: dict[str, str] | None = None,
    stages: Sequence[StageRecord] = (),
    parent: str | None = None,
) -> Artifact:
    """Make an artifact whose model is `size` bytes of its own name."""
    with new_artifact(path) as draft:
        draft.model_path.write_bytes((path.name.encode() * size)[:size])
        for name, text in {"config.json": CONFIG, "vocab.txt": "[PAD]\n", **(files or {})}.items():
            (draft.path / name).write_text(text)
        draft.record(
            task="squad", architecture="bert", precision=precision, stages=tuple(stages), parent=parent
        )
    return Artifact.open(path)


def score_again(evaluation: Evaluation, scores: Sequence[QuestionScore], **changes: Any) -> Evaluation:
    """Return the evaluation with other scores, its numbers recomputed in plain summation."""
    numbers = {
        "f1": 100 * sum(score.f1 for score in scores) / len(scores),
        "exact_match": 100 * sum(score.exact_match for score in scores) / len(scores),
        "questions": len(scores),
        "predictions_sha256": scores_digest(scores),
        "scores": tuple(scores),
    }
    return evaluation.model_copy(update={**numbers, **changes})


@pytest.fixture
def evidence(tmp_path: Path) -> Callable[..., GateEvidence]:
    """Return a maker of evidence that passes, unless the scores or artifacts given say otherwise."""

    def make(
        candidate_f1: Sequence[float] = (1.0,) * 50,
        baseline_f1: Sequence[float] = (1.0,) * 50,
        *,
        candidate: Artifact | None = None,
        baseline: Artifact | None = None,
        coverage: float = 0.97,
    ) -> GateEvidence:
        baseline = baseline or _existing(tmp_path / "fp32", precision="fp32", size=4000)
        candidate = candidate or _existing(
            tmp_path / "int8", precision="int8", size=1000, parent=baseline.digest, stages=[FUSED]
        )
        return evidence_of(
            candidate,
            baseline,
            evaluations=(evaluation_of(candidate, candidate_f1), evaluation_of(baseline, baseline_f1)),
            inspections=(inspection_of(candidate, coverage), inspection_of(baseline, 0.0)),
            lineage=lineage_of(candidate, baseline),
        )

    return make


def _existing(path: Path, **how: Any) -> Artifact:
    return Artifact.open(path) if path.exists() else make_artifact(path, **how)


def check_of(report: GateReport, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)


def replaced(evidence: GateEvidence, side: str, **changes: Any) -> GateEvidence:
    """Return the evidence with fields of one of its reports changed."""
    return dataclasses.replace(evidence, **{side: getattr(evidence, side).model_copy(update=changes)})


def test_a_lossless_candidate_passes(evidence: Callable[..., GateEvidence]) -> None:
    """Equal answers, integer kernels and a smaller file pass with ratio 1 and exit code 0."""
    report = gate(evidence(), settings=GateSettings())

    assert (report.verdict, report.exit_code, report.ratio, report.changed) == ("pass", 0, 1.0, 0.0)
    assert {check.verdict for check in report.checks if check.decides} == {"pass"}


def test_the_same_evidence_gives_the_same_report(evidence: Callable[..., GateEvidence]) -> None:
    """Nothing of the clock or of chance is in a report."""
    given_ = evidence([0.5, 1.0] * 30, [1.0, 0.5] * 30)

    assert gate(given_, settings=GateSettings()) == gate(given_, settings=GateSettings())


@given(
    rows=st.lists(
        st.tuples(st.sampled_from([0.0, 0.3, 2 / 3, 1.0]), st.sampled_from([0.0, 0.3, 2 / 3, 1.0])),
        min_size=2,
        max_size=30,
    ),
    random=st.randoms(use_true_random=False),
    policy=st.sampled_from(["mlperf", "statistical"]),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_order_of_questions_does_not_change_the_verdict(
    evidence: Callable[..., GateEvidence], rows: list[tuple[float, float]], random: Any, policy: str
) -> None:
    """Either side may list its questions in any order: the report is the same, but for nothing."""
    candidate, baseline = zip(*rows, (0.5, 1.0), strict=True)
    straight = evidence(candidate, baseline)
    shuffled = straight
    for side in ("candidate_evaluation", "baseline_evaluation"):
        evaluation = getattr(straight, side)
        scores = list(evaluation.scores)
        random.shuffle(scores)
        shuffled = dataclasses.replace(shuffled, **{side: score_again(evaluation, scores)})
    chosen = GateSettings(policy=policy, **FAST)

    assert gate(straight, settings=chosen) == gate(shuffled, settings=chosen)


@given(scores=st.lists(st.sampled_from([0.0, 0.1, 0.3, 2 / 3, 1.0]), min_size=1, max_size=30))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_identical_predictions_pass_on_f1(evidence: Callable[..., GateEvidence], scores: list[float]) -> None:
    """Whatever the F1 is, the same answers have ratio exactly 1 and pass even min_ratio 1."""
    report = gate(evidence([*scores, 1.0], [*scores, 1.0]), settings=GateSettings(min_ratio=1.0, **FAST))

    assert report.ratio == 1.0
    assert check_of(report, "f1 mlperf").verdict == "pass"


def test_the_limit_is_compared_unrounded() -> None:
    """90.783126 is exactly 0.999 of 90.874 and reaches it; the next smaller float does not."""
    limit = 90.783126

    assert reaches(limit, 0.999, 90.874)
    assert not reaches(math.nextafter(limit, 0), 0.999, 90.874)
    assert not reaches(90.7831259, 0.999, 90.874)
    assert reaches(75.0, 1.0, 75.0)


@given(st.integers(min_value=1, max_value=100_000), st.integers(min_value=900, max_value=1_000))
def test_what_equals_the_limit_in_decimals_reaches_it(thousandths: int, permille: int) -> None:
    """Float products are rounded, at times above what is exactly equal; the gate's comparison is not."""
    reference, ratio = thousandths / 1_000, permille / 1_000
    limit = thousandths * permille / 1_000_000

    assert reaches(limit, ratio, reference)
    assert not reaches(math.nextafter(limit, 0), ratio, reference)


def test_a_loss_fails(evidence: Callable[..., GateEvidence]) -> None:
    """An F1 below the limit fails with exit code 3, and the check says which number missed which."""
    report = gate(evidence([1.0] * 49 + [0.0]), settings=GateSettings())

    assert (report.verdict, report.exit_code) == ("fail", 3)
    assert check_of(report, "f1 mlperf").observed == "0.980000 (F1 98.0)"


def test_policy_statistical_decides_by_its_interval(evidence: Callable[..., GateEvidence]) -> None:
    """What too few questions cannot prove is inconclusive (exit 4); a large loss fails (exit 3)."""
    statistical = GateSettings(policy="statistical")

    unproven = gate(evidence(), settings=statistical)
    lost = gate(evidence([1.0, 0.0] * 50, [1.0] * 100), settings=statistical)

    assert (unproven.verdict, unproven.exit_code) == ("inconclusive", 4)
    assert (lost.verdict, lost.exit_code) == ("fail", 3)


def test_policy_statistical_passes_what_is_proven(evidence: Callable[..., GateEvidence]) -> None:
    """With enough questions an equal candidate is proven, p below 5 %, lower bound at the limit or above."""
    report = gate(evidence([1.0] * 4_000, [1.0] * 4_000), settings=GateSettings(policy="statistical"))

    assert report.verdict == "pass"
    assert report.p_value < 0.05
    assert report.interval.low >= 0.999


def test_both_statistics_are_always_there(evidence: Callable[..., GateEvidence]) -> None:
    """Whichever policy decides, the other's check is in the report and does not count."""
    for policy, other in (("mlperf", "statistical"), ("statistical", "mlperf")):
        report = gate(evidence(), settings=GateSettings(policy=policy))

        assert check_of(report, f"f1 {policy}").decides
        assert not check_of(report, f"f1 {other}").decides
        assert report.interval.confidence == 0.9


def test_a_fixed_reference_replaces_the_baseline(evidence: Callable[..., GateEvidence]) -> None:
    """With reference_f1 the ratio is to that number; the baseline's F1 is still shown."""
    report = gate(evidence([1.0] * 9 + [0.0], [1.0] * 10), settings=GateSettings(reference_f1=90.0))

    assert (report.ratio, report.baseline_f1, report.verdict) == (1.0, 100.0, "pass")


def test_a_model_that_is_not_quantized_fails(evidence: Callable[..., GateEvidence]) -> None:
    """An F1-only gate would pass the FP32 model; coverage does not, and equal to the limit is enough."""
    assert gate(evidence(coverage=0.0), settings=GateSettings()).verdict == "fail"
    assert gate(evidence(coverage=0.9), settings=GateSettings()).verdict == "pass"


def test_a_lost_fusion_fails(evidence: Callable[..., GateEvidence]) -> None:
    """Fewer fused operators than the contract says fail and name the operator."""
    lost = replaced(evidence(), "inspection", fused={"BiasGelu": 1}, kernels={"MatMul": 2, "BiasGelu": 1})

    report = gate(lost, settings=GateSettings())

    check = check_of(report, "fusions")
    assert (check.verdict, check.required, check.observed) == ("fail", "BiasGelu 2", "BiasGelu 1")


def test_a_limited_evaluation_fails(evidence: Callable[..., GateEvidence]) -> None:
    """An evaluation of the first questions only is no evidence of the whole."""
    limited = replaced(evidence(), "candidate_evaluation", dataset_name="toy-first-50")

    report = gate(limited, settings=GateSettings())

    assert check_of(report, "questions").verdict == "fail"


def test_a_part_of_squad_fails(evidence: Callable[..., GateEvidence]) -> None:
    """The official file has 10,570 questions; a report about fewer that carries its digest fails."""
    given_ = evidence()
    for side in ("candidate_evaluation", "baseline_evaluation"):
        given_ = replaced(given_, side, dataset=SQUAD_DEV, dataset_name="squad")

    check = check_of(gate(given_, settings=GateSettings()), "questions")

    assert (check.verdict, check.required) == ("fail", "all 10570 questions, alike on both sides")
    assert check.observed == "50; 10520 are missing"


def test_other_feature_settings_fail(evidence: Callable[..., GateEvidence]) -> None:
    """Two sides evaluated with other windows are not comparable; other threads are."""
    windows = replaced(evidence(), "candidate_evaluation", settings={"features": {"max_length": 512}})
    threads = replaced(evidence(), "candidate_evaluation", settings={"threads": 1})

    assert check_of(gate(windows, settings=GateSettings()), "questions").verdict == "fail"
    assert check_of(gate(threads, settings=GateSettings()), "questions").verdict == "pass"


def test_what_is_cut_is_told(evidence: Callable[..., GateEvidence]) -> None:
    """Texts too long to be read whole are counted beside the questions, and are no fault: both sides cut alike."""
    check = check_of(
        gate(replaced(evidence(), "candidate_evaluation", truncated=4), settings=GateSettings()), "questions"
    )
    assert (check.verdict, check.observed) == ("pass", "50; truncated: 4 of 50")


def test_a_model_that_is_too_large_fails(evidence: Callable[..., GateEvidence], tmp_path: Path) -> None:
    """The candidate is smaller than the baseline and at most as large as max_size_mb."""
    large = make_artifact(tmp_path / "large", precision="int8", size=4000)

    assert gate(evidence(candidate=large), settings=GateSettings()).verdict == "fail"
    assert gate(evidence(), settings=GateSettings(max_size_mb=0.001)).verdict == "pass"
    assert gate(evidence(), settings=GateSettings(max_size_mb=0.000999)).verdict == "fail"


def calibrated(path: Path, ids: Any) -> Artifact:
    record = StageRecord(stage="quantize", settings={"mode": "static"})
    files = {} if ids is None else {"calibration.json": json.dumps({"ids": ids})}
    return make_artifact(path, precision="int8", size=1000, files=files, stages=[record])


def test_calibrated_questions_are_left_out(evidence: Callable[..., GateEvidence], tmp_path: Path) -> None:
    """Questions that were calibrated on are in the point estimate and not in the interval, on both sides."""
    candidate = calibrated(tmp_path / "static", ["q0", "q1", "another-set"])
    scores = ([0.0, 0.0] + [1.0] * 48, [1.0] * 50)

    report = gate(evidence(*scores, candidate=candidate), settings=GateSettings())

    assert (report.questions, report.excluded) == (50, 2)
    assert (report.ratio, report.kept_ratio) == (0.96, 1.0)
    assert check_of(report, "calibration").observed == "2 of 50 were calibrated on"
    assert report.changed == 0.04


@pytest.mark.parametrize(("count", "verdict"), [(25, "pass"), (26, "fail"), (50, "fail")])
def test_too_few_questions_that_were_not_calibrated_on_fail(
    evidence: Callable[..., GateEvidence], tmp_path: Path, count: int, verdict: str
) -> None:
    """Half of the questions or more must be new to the candidate, whatever the policy."""
    candidate = calibrated(tmp_path / "static", [f"q{i}" for i in range(count)])

    report = gate(evidence(candidate=candidate), settings=GateSettings())

    assert (report.verdict, check_of(report, "kept questions").verdict) == (verdict, verdict)
    assert check_of(report, "kept questions").observed == f"{50 - count} of 50"


def test_all_questions_calibrated_on_leave_nothing_to_compare(
    evidence: Callable[..., GateEvidence], tmp_path: Path
) -> None:
    """When nothing is left to judge, the interval decides nothing and says so."""
    candidate = calibrated(tmp_path / "static", [f"q{i}" for i in range(50)])

    report = gate(evidence(candidate=candidate), settings=GateSettings(policy="statistical"))

    assert check_of(report, "f1 statistical").verdict == "inconclusive"
    assert "too few questions" in check_of(report, "f1 statistical").observed


def test_unknown_calibration_is_inconclusive(evidence: Callable[..., GateEvidence], tmp_path: Path) -> None:
    """A static artifact that does not say what it was calibrated on is not taken for one without overlap."""
    report = gate(
        evidence(candidate=calibrated(tmp_path / "static", None)), settings=GateSettings(policy="statistical")
    )

    assert check_of(report, "calibration").verdict == "inconclusive"


def test_calibration_without_ids_is_an_error(evidence: Callable[..., GateEvidence], tmp_path: Path) -> None:
    """A calibration.json of another form is a mistake, not an empty overlap."""
    with pytest.raises(ArtifactError, match=r"calibration\.json: has no list of question ids"):
        gate(evidence(candidate=calibrated(tmp_path / "static", "q0")), settings=GateSettings())


def test_lineage(evidence: Callable[..., GateEvidence], tmp_path: Path) -> None:
    """Another vocabulary fails, whatever the manifests claim, and so does a baseline that is called INT8."""
    other = {"files": {"vocab.txt": "[UNK]\n"}, "precision": "int8", "size": 1000}
    stranger = make_artifact(tmp_path / "stranger", **other)
    export = StageRecord(stage="export", key="e")
    fp32 = make_artifact(tmp_path / "exported", precision="fp32", size=4000, stages=[export])
    cousin = make_artifact(tmp_path / "cousin", stages=[export], parent=fp32.digest, **other)
    sister = make_artifact(tmp_path / "sister", stages=[export], precision="int8", size=1000)
    int8 = make_artifact(tmp_path / "other-int8", precision="int8", size=4000)

    strange = gate(evidence(candidate=stranger), settings=GateSettings())

    assert check_of(strange, "lineage").verdict == "fail"
    assert check_of(strange, "lineage").observed == "differ in vocab.txt"
    assert gate(evidence(candidate=cousin, baseline=fp32), settings=GateSettings()).verdict == "fail"
    related = gate(evidence(candidate=sister, baseline=fp32), settings=GateSettings())
    assert related.verdict == "pass"
    assert (
        check_of(related, "lineage").observed == "same config and tokenizer, both say they are of one export"
    )
    assert gate(evidence(baseline=int8), settings=GateSettings()).verdict == "fail"
    assert gate(evidence(candidate=stranger), settings=GateSettings(reference_f1=90.0)).verdict == "pass"


@pytest.mark.parametrize(("agreement", "verdict"), [(0.9, "pass"), (0.899, "fail"), (0.5, "fail")])
def test_the_weights_are_the_baselines(
    evidence: Callable[..., GateEvidence], agreement: float, verdict: str
) -> None:
    """A candidate whose weights have other signs than its baseline's is not of it; the worst layer is named."""
    given_ = evidence()
    lineage = lineage_of(given_.candidate, given_.baseline, agreement)

    report = gate(dataclasses.replace(given_, lineage=lineage), settings=GateSettings())

    assert (report.verdict, check_of(report, "weights").verdict) == (verdict, verdict)
    assert "in query, the least of 1 layers and 1 tables" in check_of(report, "weights").observed


def test_a_baseline_without_float_layers_fails(evidence: Callable[..., GateEvidence]) -> None:
    """Where there is no float weight to compare with, nothing shows that both are of one checkpoint."""
    given_ = evidence()
    lineage = given_.lineage.model_copy(update={"layers": ()})

    report = gate(dataclasses.replace(given_, lineage=lineage), settings=GateSettings())

    assert check_of(report, "weights").observed == "the baseline has no float layer to compare"
    assert report.verdict == "fail"


def test_a_baseline_that_runs_integer_kernels_fails(evidence: Callable[..., GateEvidence]) -> None:
    """What is called FP32 and multiplies integers is no baseline; with a fixed reference it is only shown."""
    given_ = evidence()
    relabelled = dataclasses.replace(given_, baseline_inspection=inspection_of(given_.baseline, 0.001))

    report = gate(relabelled, settings=GateSettings())

    assert (report.verdict, check_of(report, "baseline").observed) == ("fail", "0.001000 of them")
    assert gate(relabelled, settings=GateSettings(reference_f1=90.0)).verdict == "pass"


def test_a_candidate_far_above_its_baseline_fails(evidence: Callable[..., GateEvidence]) -> None:
    """A baseline that answers a seventh of what its candidate does is broken; chance alone is let pass."""
    broken = gate(evidence([1.0] * 500, [1.0, *[0.1] * 6] * 71 + [1.0] * 3), settings=GateSettings(**FAST))
    lucky = gate(evidence([1.0] * 50, [1.0] * 49 + [0.0]), settings=GateSettings(**FAST))

    assert (broken.verdict, check_of(broken, "gain").verdict) == ("fail", "fail")
    assert (lucky.verdict, check_of(lucky, "gain").verdict) == ("pass", "pass")
    assert lucky.ratio > 1.02


@pytest.mark.parametrize(
    ("baseline", "labels", "verdict"),
    [
        ([0.02] * 500, 0, "fail"),
        ([0.02] * 400 + [1.0] * 100, 0, "pass"),
        ([1.0, 0.0, 0.0], 3, "fail"),
        ([1.0, 1.0, 1.0], 3, "pass"),
        ([1.0, 1.0, 1.0], 2, "fail"),
        ([1.0, 0.0] * 250, 2, "fail"),
        ([1.0, 0.0] * 250, 3, "pass"),
        ([1.0] * 500, 1, "fail"),
    ],
)
def test_a_baseline_near_chance_fails(
    evidence: Callable[..., GateEvidence], baseline: list[float], labels: int, verdict: str
) -> None:
    """A baseline must answer surely better than guessing; a head of one label cannot."""
    given_ = dataclasses.replace(evidence(baseline, baseline), labels=labels)

    report = gate(given_, settings=GateSettings(**FAST))

    assert check_of(report, "chance").verdict == verdict
    assert check_of(report, "chance").decides
    assert verdict == "pass" or report.verdict == "fail"


@pytest.mark.parametrize(("right", "verdict"), [(0.5, "fail"), (0.7, "pass")])
def test_a_baseline_that_answers_nothing_fails(
    evidence: Callable[..., GateEvidence], right: float, verdict: str
) -> None:
    """Where half of the questions have no answer, who never gives one has F1 50, and that is no merit."""
    scores = [1.0] * round(500 * right) + [0.0] * round(500 * (1 - right))
    given_ = evidence(scores, scores)
    part = PartScore(questions=250, f1=100.0, exact_match=100.0)
    parts = given_.baseline_evaluation.model_copy(update={"parts": {"NoAns": part}})

    report = gate(dataclasses.replace(given_, baseline_evaluation=parts), settings=GateSettings(**FAST))

    assert check_of(report, "chance").verdict == verdict
    assert "no answer to any question" in check_of(report, "chance").required


def test_a_name_that_belongs_to_other_bytes_fails(evidence: Callable[..., GateEvidence]) -> None:
    """Whatever is called squad and is not SQuAD's file says so in the check of questions."""
    given_ = evidence()
    for side in ("candidate_evaluation", "baseline_evaluation"):
        given_ = replaced(given_, side, dataset_name="squad")

    check = check_of(gate(given_, settings=GateSettings()), "questions")

    assert (check.verdict, check.observed) == ("fail", "50; 111111111111 is not squad")


def made_for(path: Path, target: Any) -> Artifact:
    facts = {} if target is None else {"target_isa": target}
    record = StageRecord(stage="quantize", settings={"mode": "dynamic"}, facts=facts)
    return make_artifact(path, precision="int8", size=1000, stages=[record])


VNNI = {"model": "m", "machine": "x86_64", "instruction_sets": ["avx2", "avx512f", "avx512_vnni"]}
PLAIN = {"model": "m", "machine": "x86_64", "instruction_sets": ["avx2", "avx512f"]}


@pytest.mark.parametrize(
    ("target", "cpu", "verdict", "observed"),
    [
        (None, VNNI, "pass", "evaluated with avx512_vnni kernels"),
        (None, {}, "pass", "evaluated with unnamed kernels on unknown"),
        ("native", PLAIN, "pass", "evaluated with avx2 kernels"),
        ("avx2", PLAIN, "pass", "evaluated with avx2 kernels"),
        ("avx512_vnni", VNNI, "pass", "evaluated with avx512_vnni kernels"),
        ("avx2", VNNI, "fail", "which say nothing about avx2; evaluate it on such a CPU"),
        ("avx512_vnni", PLAIN, "fail", "which say nothing about avx512_vnni;"),
        ("avx2", {}, "fail", "evaluated with unnamed kernels on unknown, which say nothing about avx2;"),
        ("avx10", VNNI, "fail", "'avx10', a target this version does not know"),
        (7, VNNI, "fail", "'7', a target this version does not know"),
    ],
)
def test_evidence_is_of_the_targets_kernels(
    evidence: Callable[..., GateEvidence],
    tmp_path: Path,
    target: Any,
    cpu: dict[str, Any],
    verdict: str,
    observed: str,
) -> None:
    """Answers of a CPU that runs other kernels than the artifact was made for do not count for it."""
    given_ = replaced(evidence(candidate=made_for(tmp_path / "isa", target)), "candidate_evaluation", cpu=cpu)

    report = gate(given_, settings=GateSettings(**FAST))

    assert (report.verdict, check_of(report, "isa").verdict) == (verdict, verdict)
    assert observed in check_of(report, "isa").observed


@pytest.mark.parametrize(
    ("saturating", "cpu", "verdict", "observed"),
    [
        ((), PLAIN, "pass", "exact on every CPU"),
        ((), VNNI, "pass", "exact on every CPU"),
        (("dense",), PLAIN, "fail", "dense can, and this CPU has no VNNI"),
        (("dense", "query", "key"), PLAIN, "fail", "dense and 2 more can, and this CPU has no VNNI"),
        (("dense",), VNNI, "pass", "dense can, on x86 without VNNI, and not on this CPU"),
        (("dense",), {}, "pass", "dense can, on x86 without VNNI, and not on this CPU"),
    ],
)
def test_layers_that_saturate_fail_where_they_do(
    evidence: Callable[..., GateEvidence],
    saturating: tuple[str, ...],
    cpu: dict[str, Any],
    verdict: str,
    observed: str,
) -> None:
    """Answers of a CPU that gets sums wrong do not pass; elsewhere the gate says which layers could not be trusted."""
    given_ = replaced(evidence(), "candidate_evaluation", cpu=cpu)
    given_ = replaced(given_, "inspection", saturating=saturating)

    report = gate(given_, settings=GateSettings(**FAST))

    assert (report.verdict, check_of(report, "saturation").verdict) == (verdict, verdict)
    assert check_of(report, "saturation").observed == observed


@pytest.mark.parametrize("cpu", [PLAIN, VNNI, {}])
@pytest.mark.parametrize(("saturating", "verdict"), [((), "pass"), (("dense",), "fail")])
def test_any_is_for_every_cpu(
    evidence: Callable[..., GateEvidence],
    tmp_path: Path,
    cpu: dict[str, Any],
    saturating: tuple[str, ...],
    verdict: str,
) -> None:
    """What was made for any CPU can be proven on each of them, if its weights are exact on all."""
    given_ = evidence(candidate=made_for(tmp_path / "isa", "any"))
    given_ = replaced(given_, "candidate_evaluation", cpu=cpu)
    given_ = replaced(given_, "inspection", saturating=saturating)
    assert check_of(gate(given_, settings=GateSettings(**FAST)), "isa").verdict == verdict


def test_reports_for_another_digest_are_refused(
    evidence: Callable[..., GateEvidence], tmp_path: Path
) -> None:
    """Numbers of other bytes are an error (exit 2) that names the artifact, never a verdict."""
    for side in ("candidate_evaluation", "baseline_evaluation", "inspection", "baseline_inspection"):
        with pytest.raises(ArtifactError, match=r"is for another digest \(eeeeeeeeeeee, not ") as caught:
            gate(replaced(evidence(), side, artifact="e" * 64), settings=GateSettings())
        assert caught.value.exit_code == 2
    with pytest.raises(ArtifactError, match="its lineage is of eeeeeeeeeeee and "):
        gate(replaced(evidence(), "lineage", artifact="e" * 64), settings=GateSettings())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("int8_coverage", 1.0),
        ("size_bytes", 1),
        ("architecture", "roberta"),
        ("task", "text-classification"),
        ("precision", "fp32"),
        ("expected_fusions", {}),
        ("fused", {"BiasGelu": 3}),
    ],
)
def test_an_inspection_agrees_with_its_manifest_and_itself(
    evidence: Callable[..., GateEvidence], field: str, value: Any
) -> None:
    """What an inspection says besides can be computed from the manifest and its own layers, and must agree."""
    with pytest.raises(ArtifactError, match=f"its inspection has another {field}"):
        gate(replaced(evidence(), "inspection", **{field: value}), settings=GateSettings())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"f1": 99.9}, "has a metric F1 that is not the mean of its scores"),
        ({"exact_match": 1.0}, "has an exact match that is not the mean of its scores"),
        ({"predictions_sha256": "0" * 64}, "has predictions with another sha256 than it says"),
        ({"questions": 51}, "counts 51 questions and has scores of 50"),
        ({"scores": ()}, "counts 50 questions and has scores of 0"),
        ({"task": "text-classification"}, "is of the task text-classification, not squad"),
    ],
)
def test_numbers_that_contradict_themselves_are_refused(
    evidence: Callable[..., GateEvidence], changes: dict[str, Any], said: str
) -> None:
    """F1, exact match, count and sha256 are recomputed from the scores of every question."""
    with pytest.raises(ArtifactError, match=said):
        gate(replaced(evidence(), "candidate_evaluation", **changes), settings=GateSettings())


def test_other_questions_are_refused(evidence: Callable[..., GateEvidence]) -> None:
    """Without the same questions on both sides there is nothing to pair."""
    with pytest.raises(EvaluationError, match="evaluate both on the same data"):
        gate(evidence([1.0] * 50, [1.0] * 49), settings=GateSettings())
    with pytest.raises(EvaluationError, match="evaluate both on the same data"):
        gate(replaced(evidence(), "baseline_evaluation", dataset="c" * 64), settings=GateSettings())


def test_an_artifact_is_not_its_own_baseline(evidence: Callable[..., GateEvidence], tmp_path: Path) -> None:
    """An INT8 artifact gated against itself would pass everything; it is refused."""
    int8 = make_artifact(tmp_path / "twice", precision="int8", size=1000)

    with pytest.raises(UsageError, match="is its own baseline"):
        gate(evidence(candidate=int8, baseline=int8), settings=GateSettings())


def test_reports_are_written_into_the_candidate(evidence: Callable[..., GateEvidence]) -> None:
    """gate.json is the report itself; Markdown and JUnit lie beside it, and the digest stays."""
    given_ = evidence()
    report = gate(given_, settings=GateSettings())

    paths = write_reports(report, given_)

    assert [path.name for path in paths] == ["gate.json", "gate.md", "gate.junit.xml"]
    assert GateReport.read(paths[0]) == report
    assert json.loads(paths[0].read_text())["schema"] == "quantkit/gate/2"
    assert Artifact.open(given_.candidate.path).digest == given_.candidate.digest


def test_the_evidence_lies_beside_the_report(evidence: Callable[..., GateEvidence]) -> None:
    """From the files alone the same evidence is read back, and gives the same report."""
    given_ = evidence([0.5, 1.0] * 30, [1.0, 0.5] * 30)
    report = gate(given_, settings=GateSettings(**FAST))
    write_reports(report, given_)

    found = read_evidence(
        given_.candidate, {EVALUATION: "evaluation-tiny.json", PREDICTIONS: "predictions-tiny.json"}
    )

    assert found.candidate_evaluation.scores == given_.candidate_evaluation.scores
    assert gate(found, settings=GateSettings(**FAST)) == report


def test_scores_beyond_their_range_are_refused(evidence: Callable[..., GateEvidence]) -> None:
    """An F1 of 50 for one question is no score, whatever it is the mean of."""
    given_ = evidence()
    scores = [score.model_copy(update={"f1": 50.0}) for score in given_.candidate_evaluation.scores]
    forged = score_again(given_.candidate_evaluation, scores)

    with pytest.raises(ArtifactError, match="has scores that are not from 0 to 1"):
        gate(dataclasses.replace(given_, candidate_evaluation=forged), settings=GateSettings())


def test_reports_of_others_are_not_written(
    evidence: Callable[..., GateEvidence], caplog: pytest.LogCaptureFixture
) -> None:
    """A gate report goes into the artifact it judged, and not into one whose reports are sealed."""
    given_ = evidence()
    report = gate(given_, settings=GateSettings())
    sealed = given_.candidate.manifest.model_copy(update={"reports": given_.candidate.manifest.files})

    with pytest.raises(ArtifactError, match="is for another digest"):
        write_reports(report, dataclasses.replace(given_, candidate=given_.baseline))
    published = dataclasses.replace(given_.candidate, manifest=sealed)
    assert write_reports(report, dataclasses.replace(given_, candidate=published)) == ()
    assert "its reports are sealed" in caplog.text
    assert not given_.candidate.report_path("gate.json").exists()


def test_a_read_only_candidate_gets_its_verdict(
    evidence: Callable[..., GateEvidence], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Reports that cannot be kept for want of permission are a warning; for want of space, an error."""
    given_ = evidence()
    report = gate(given_, settings=GateSettings())

    def refuse_with(cause: OSError) -> None:
        def refuse(*given: object) -> Path:
            raise OutputError("gate.json: no") from cause

        monkeypatch.setattr(Artifact, "write_report", refuse)

    refuse_with(PermissionError(13, "Permission denied"))
    assert write_reports(report, given_) == ()
    assert "this verdict is not kept in the artifact: gate.json: no" in caplog.text
    refuse_with(OSError(28, "No space left on device"))
    with pytest.raises(OutputError):
        write_reports(report, given_)


def test_summary_is_appended(
    evidence: Callable[..., GateEvidence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Markdown goes after what other steps wrote to $GITHUB_STEP_SUMMARY, and nowhere without it."""
    report = gate(evidence(), settings=GateSettings())
    assert append_summary(report) is None
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))

    assert append_summary(report) == summary

    assert summary.read_text().startswith("before\n## ")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    with pytest.raises(OutputError, match="cannot be written"):
        append_summary(report)
