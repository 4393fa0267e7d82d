"""What an artifact must show to be published, and still show after: a passing gate on its own bytes.

gate, publish and verify ask the same question here, so that they cannot come to differ.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from quantkit.artifact import Artifact
from quantkit.artifact.manifest import REPORTS
from quantkit.errors import PublishRefused, RegistryError
from quantkit.files import digest_of
from quantkit.records import Evaluation, GateReport
from quantkit.records.evaluation import evaluation_file, predictions_file
from quantkit.strict_json import read_json

GATE = "gate.json"
EVALUATION = "evaluation.json"
PREDICTIONS = "predictions.json"

# The reports that travel with a published artifact: file → must it be there. Its evaluation and predictions
# are those the gate judged, whatever else was evaluated since.
PUBLISHED = {
    GATE: True,
    EVALUATION: True,
    PREDICTIONS: True,
    "gate.md": False,
    "gate.junit.xml": False,
    "inspection.json": False,
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
    """The passing gate report of an artifact and the evaluation it rests on."""

    gate: GateReport
    evaluation: Evaluation


def require_evidence(artifact: Artifact) -> Evidence:
    """Return the evidence that this artifact passed its gate.

    Raises:
        PublishRefused: there is no gate report or evaluation, the verdict is not `pass`, or the report
            contradicts itself or the evaluation (exit code 3).
        RegistryError: the report or the evaluation is of another artifact (exit code 2).
        ArtifactError: a report cannot be read.
    """
    if not artifact.report_path(GATE).is_file():
        raise PublishRefused(f"{artifact.path}: has no gate report; run `quantkit gate` on it first")
    gate = GateReport.read(artifact.report_path(GATE))
    sources = report_sources(artifact, gate)
    for name, required in PUBLISHED.items():
        if required and not artifact.report_path(sources[name]).is_file():
            raise PublishRefused(
                f"{artifact.path}: has no {REPORTS}/{sources[name]}; run `quantkit gate` on it first"
            )
    evaluation = Evaluation.read(artifact.report_path(sources[EVALUATION]))
    for name, digest in ((GATE, gate.artifact), (sources[EVALUATION], evaluation.artifact)):
        if digest != artifact.digest:
            raise RegistryError(
                f"{artifact.report_path(name)}: is about the artifact {digest[:12]}, not about "
                f"{artifact.digest[:12]}; run `quantkit gate` on this one"
            )
    if gate.verdict != "pass":
        failed = ", ".join(check.name for check in gate.checks if check.decides and check.verdict != "pass")
        raise PublishRefused(f"{artifact.path}: its gate report says {gate.verdict} ({failed or 'no check'})")
    _require_agreement(artifact, gate, evaluation, sources)
    return Evidence(gate=gate, evaluation=evaluation)


def report_sources(artifact: Artifact, gate: GateReport) -> dict[str, str]:
    """Return published file → the report it is taken from.

    `evaluation.json` of an artifact that is not published is of whatever was evaluated last; the gate's own is
    `evaluation-<dataset>.json`. A published artifact has, and hashes, one only.
    """
    sources = {name: name for name in PUBLISHED}
    own = {EVALUATION: evaluation_file(gate.dataset_name), PREDICTIONS: predictions_file(gate.dataset_name)}
    if not artifact.manifest.reports and all(artifact.report_path(name).is_file() for name in own.values()):
        sources |= own
    return sources


def _require_agreement(
    artifact: Artifact, gate: GateReport, evaluation: Evaluation, sources: Mapping[str, str]
) -> None:
    """Refuse a report that says `pass` while its own numbers, or the predictions, say otherwise."""
    where = artifact.report_path(GATE)
    unmet = [check.name for check in gate.checks if check.decides and check.verdict != "pass"]
    if unmet or not gate.checks:
        raise PublishRefused(
            f"{where}: says pass, but not its checks ({', '.join(unmet) or 'there are none'})"
        )
    if gate.dataset != evaluation.dataset:
        raise PublishRefused(
            f"{where}: was judged on another dataset than {sources[EVALUATION]}; run `quantkit gate` again"
        )
    if not math.isclose(gate.candidate_f1, evaluation.f1, rel_tol=0, abs_tol=1e-9):
        raise PublishRefused(
            f"{where}: its F1 is not that of {sources[EVALUATION]}; run `quantkit gate` again"
        )
    try:
        predictions = read_json(artifact.report_path(sources[PREDICTIONS]))
    except ValueError:
        predictions = None
    if digest_of(predictions) != evaluation.predictions_sha256:
        raise PublishRefused(
            f"{artifact.report_path(sources[PREDICTIONS])}: is not what was evaluated; evaluate and gate again"
        )
