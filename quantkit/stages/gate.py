"""gate: evidence → GateReport in the candidate, with all that it was computed from beside it."""

import logging
import os
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.artifact.artifact import is_not_kept
from quantkit.errors import ArtifactError, OutputError
from quantkit.files import naming_output_errors
from quantkit.recipe.settings import GateSettings
from quantkit.records import GateReport
from quantkit.report.digits import short
from quantkit.report.junit import gate_junit
from quantkit.report.markdown import gate_markdown
from quantkit.verdict import GateEvidence, evidence_of, judge
from quantkit.verdict.recorded import GATE, write_evidence

__all__ = ["GateEvidence", "append_summary", "evidence_of", "gate", "write_reports"]

_LOG = logging.getLogger(__name__)


def gate(evidence: GateEvidence, *, settings: GateSettings) -> GateReport:
    """Judge a candidate; see `quantkit.verdict.judge`.

    Raises:
        QuantkitError: as it does.
    """
    return judge(evidence, settings=settings)


def write_reports(report: GateReport, evidence: GateEvidence) -> tuple[Path, ...]:
    """Write the evidence and `gate.json`, `gate.md` and `gate.junit.xml` into the candidate's `reports/`.

    A published candidate's reports are sealed, and a candidate that is read-only, or another one by now, keeps
    none: the verdict stands, a warning says so, and nothing is returned.

    Returns:
        The paths of the three.

    Raises:
        ArtifactError: the report is about another artifact.
        OutputError: the disk is full.
    """
    candidate: Artifact = evidence.candidate
    if report.artifact != candidate.digest:
        raise ArtifactError(
            f"{candidate.path}: the gate report is for another digest ({short(report.artifact)}, not "
            f"{short(candidate.digest)}); gate this artifact"
        )
    if candidate.manifest.reports:
        _LOG.warning("%s is published and its reports are sealed: this verdict is not kept", candidate.place)
        return ()
    try:
        write_evidence(evidence)
        return (
            candidate.write_report(GATE, report.as_json()),
            candidate.write_report("gate.md", gate_markdown(report)),
            candidate.write_report("gate.junit.xml", gate_junit(report)),
        )
    except OutputError as error:
        if not is_not_kept(error):
            raise
        _LOG.warning("this verdict is not kept in the artifact: %s", error)
        return ()


def append_summary(report: GateReport) -> Path | None:
    """Append the Markdown summary to the file `$GITHUB_STEP_SUMMARY` names; None when it names none.

    Raises:
        OutputError: the file cannot be written.
    """
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return None
    path = Path(name)
    with naming_output_errors(path), path.open("a", encoding="utf-8") as stream:
        stream.write(gate_markdown(report) + "\n")
    return path
