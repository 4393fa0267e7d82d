"""Verifying: every byte of an artifact hashed again, its seal checked, its evidence read."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from quantkit.artifact import Artifact, Manifest
from quantkit.artifact.manifest import NAME, FileRecord, content_files
from quantkit.errors import MISTAKE, PASSED, QuantkitError
from quantkit.files import inside, sha256_file
from quantkit.records.record import Record, Report
from quantkit.registry.admission import still_admitted
from quantkit.registry.evidence import require_evidence
from quantkit.registry.policy import RegistryPolicy

Finding = Literal["ok", "changed", "missing", "not listed"]


class FileFinding(Record):
    """One file and whether its bytes are those of the manifest."""

    name: str
    finding: Finding
    size: int


class Verification(Report):
    """What `quantkit verify` found; `verified` is true only when everything holds."""

    format: str = Field(default="quantkit/verification/1", alias="schema")
    path: str
    artifact: str = Field(description="digest of the artifact, as sealed in its manifest")
    verified: bool
    files: tuple[FileFinding, ...] = Field(description="every file, the manifest first")
    published: bool = Field(description="whether the manifest hashes reports, as a published one does")
    verdict: str | None = Field(description="of the gate report, when it is about exactly these bytes")
    problem: str | None = Field(default=None, description="the first thing that does not hold, in one line")

    @property
    def exit_code(self) -> int:
        """0 when everything holds, else 2."""
        return PASSED if self.verified else MISTAKE


def verify_artifact(path: Path, *, policy: RegistryPolicy | None = None) -> Verification:
    """Hash every file of a published artifact again, reports included, and judge it again from its evidence.

    Args:
        path: its folder.
        policy: of the registry it is in; None: the one that let it in.

    Raises:
        ArtifactError: there is no manifest, or the manifest itself was changed (its seal is broken).
    """
    manifest = Manifest.read(path)
    listed = {**manifest.files, **manifest.reports}
    findings = [FileFinding(name=NAME, finding="ok", size=(path / NAME).stat().st_size)]
    findings += [_compare(path, name, record) for name, record in sorted(listed.items())]
    findings += [
        FileFinding(name=name, finding="not listed", size=(path / name).stat().st_size)
        for name in content_files(path)
        if name not in manifest.files
    ]
    verdict, problem = None, None
    wrong = [finding for finding in findings if finding.finding != "ok"]
    if wrong:
        problem = f"{path / wrong[0].name}: {_SAID[wrong[0].finding]}; pull or publish the artifact again"
    elif not manifest.reports:
        problem = f"{path}: was never published, so its reports are not sealed; publish it first"
    else:
        try:
            artifact = Artifact.open(path, check=False)
            evidence = require_evidence(artifact)
            still_admitted(artifact, evidence, policy)
            verdict = evidence.gate.verdict
        except QuantkitError as error:
            problem = str(error)
    return Verification(
        path=str(path),
        artifact=manifest.digest,
        verified=problem is None,
        files=tuple(findings),
        published=bool(manifest.reports),
        verdict=verdict,
        problem=problem,
    )


_SAID: dict[Finding, str] = {
    "ok": "is as listed",
    "changed": "its bytes are not those of the manifest",
    "missing": "is missing",
    "not listed": "is not listed in the manifest",
}


def _compare(folder: Path, name: str, record: FileRecord) -> FileFinding:
    path = inside(folder, name)
    if not path.is_file():
        return FileFinding(name=name, finding="missing", size=0)
    size = path.stat().st_size
    same = size == record.size and sha256_file(path) == record.sha256
    return FileFinding(name=name, finding="ok" if same else "changed", size=size)
