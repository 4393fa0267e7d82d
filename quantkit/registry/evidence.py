"""What an artifact must show to be published, and still show after: a passing gate on its own bytes.

publish, verify and pull ask the same question here, and nothing is believed that can be computed again: the verdict is
judged anew from the scores, inspections and lineage that lie beside the report, and must be what the report says.
"""

from dataclasses import dataclass

from quantkit.artifact import Artifact
from quantkit.artifact.manifest import REPORTS
from quantkit.errors import ArtifactError, PublishRefused, QuantkitError, RegistryError
from quantkit.recipe.load import build_section
from quantkit.recipe.settings import GateSettings
from quantkit.records import Evaluation, GateReport
from quantkit.records.evaluation import evaluation_file, predictions_file
from quantkit.records.gate import FIRST_SCHEMA
from quantkit.report.junit import gate_junit
from quantkit.report.markdown import gate_markdown
from quantkit.strict_json import read_json
from quantkit.verdict import judge
from quantkit.verdict.agreement import disagreement
from quantkit.verdict.recorded import EVALUATION, EVIDENCE, GATE, PREDICTIONS, read_evidence

ADMISSION = "admission.json"
# The report as people read it: made from it, so it must say the same.
_SHOWN = {"gate.md": gate_markdown, "gate.junit.xml": gate_junit}

# The reports that travel with a published artifact: file → must it be there. Its evaluation and predictions
# are those the gate judged, whatever else was evaluated since.
PUBLISHED = {
    GATE: True,
    **dict.fromkeys(EVIDENCE, True),
    "gate.md": False,
    "gate.junit.xml": False,
    "bench.json": False,
    "bench.md": False,
    "bench.png": False,
    "runtime.json": False,
    "tune.json": False,
    "tune.png": False,
    "recipe.yaml": False,
    "search.json": False,
    "search.yaml": False,
    "search.html": False,
    "pareto.png": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """The passing gate report of an artifact, judged again, and the evaluation it rests on."""

    gate: GateReport
    evaluation: Evaluation
    int8_coverage: float


def require_evidence(artifact: Artifact) -> Evidence:
    """Return the evidence that this artifact passed its gate.

    Raises:
        PublishRefused: there is no gate report or evidence, the verdict is not `pass`, or the report is not the one
            that its evidence gives (exit code 3).
        RegistryError: the report or the evaluation is of another artifact (exit code 2).
        ArtifactError: a report cannot be read, or is not of its form (exit code 2).
    """
    where = artifact.report_path(GATE)
    if not where.is_file():
        raise PublishRefused(f"{artifact.path}: has no gate report; run `quantkit gate` on it first")
    if _schema(artifact) == FIRST_SCHEMA:
        raise PublishRefused(
            f"{where}: is of an older version, without the evidence to judge it again; run `quantkit gate` on it again"
        )
    report = GateReport.read(where)
    sources = report_sources(artifact, report)
    missing = [
        name for name, required in PUBLISHED.items() if required and not _there(artifact, sources[name])
    ]
    if missing:
        raise PublishRefused(
            f"{artifact.path}: has no {REPORTS}/{sources[missing[0]]}; run `quantkit gate` on it first"
        )
    _require_own(artifact, GATE, report.artifact)
    _require_own(
        artifact, sources[EVALUATION], Evaluation.read(artifact.report_path(sources[EVALUATION])).artifact
    )
    if report.verdict != "pass":
        failed = ", ".join(check.name for check in report.checks if check.decides and check.verdict != "pass")
        raise PublishRefused(
            f"{artifact.path}: its gate report says {report.verdict} ({failed or 'no check'}); "
            f"what to do is in its {REPORTS}/gate.md"
        )
    evidence, settings = read_evidence(artifact, sources), _settings(artifact, report)
    try:
        fresh = judge(evidence, settings=settings)
    except QuantkitError as error:
        raise PublishRefused(f"{error} (evidence of {where})") from error
    wrong = disagreement(report, fresh)
    if wrong:
        raise PublishRefused(f"{where}: {wrong}; run `quantkit gate` again")
    for name, render in _SHOWN.items():
        shown = artifact.report_path(name)
        if shown.is_file() and shown.read_bytes() != render(report).encode():
            raise PublishRefused(f"{shown}: does not say what {GATE} says; run `quantkit gate` again")
    own = evidence.candidate_evaluation.own_metric
    if own is not None and not own.by_row:
        raise PublishRefused(
            f"{where}: rests on {report.metric}, which gave one number for all questions, so nobody can compute the "
            "verdict again; let it return a list with a score for each question"
        )
    return Evidence(
        gate=report,
        evaluation=evidence.candidate_evaluation,
        int8_coverage=evidence.inspection.int8_coverage,
    )


def report_sources(artifact: Artifact, gate: GateReport) -> dict[str, str]:
    """Return published file → the report it is taken from.

    `evaluation.json` of an artifact that is not published is of whatever was evaluated last; the gate's own is
    `evaluation-<dataset>.json`. A published artifact has, and hashes, one only.
    """
    sources = {name: name for name in PUBLISHED}
    own = {EVALUATION: evaluation_file(gate.dataset_name), PREDICTIONS: predictions_file(gate.dataset_name)}
    if not artifact.manifest.reports and all(_there(artifact, name) for name in own.values()):
        sources |= own
    return sources


def _there(artifact: Artifact, name: str) -> bool:
    return artifact.report_path(name).is_file()


def _require_own(artifact: Artifact, name: str, digest: str) -> None:
    if digest != artifact.digest:
        raise RegistryError(
            f"{artifact.report_path(name)}: is about the artifact {digest[:12]}, not about "
            f"{artifact.digest[:12]}; run `quantkit gate` on this one"
        )


def _schema(artifact: Artifact) -> object:
    """Return what a gate report says it is; reading it says what else is wrong."""
    try:
        content = read_json(artifact.report_path(GATE))
    except (ValueError, OSError):
        return None
    return content.get("schema") if isinstance(content, dict) else None


def _settings(artifact: Artifact, report: GateReport) -> GateSettings:
    where = artifact.report_path(GATE)
    return build_section(
        GateSettings,
        report.settings,
        name=lambda location: f"{where}: settings.{'.'.join(map(str, location))}",
        error=ArtifactError,
    )
