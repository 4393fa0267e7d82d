"""Verifying: every byte of an artifact hashed again, its seal checked, its evidence read."""

import contextlib
import os
import stat
from pathlib import Path
from typing import Literal

from pydantic import Field

from quantkit.artifact import Artifact, Manifest
from quantkit.artifact.hub_files import hub_files
from quantkit.artifact.manifest import NAME, FileRecord
from quantkit.errors import FAILED, MISTAKE, PASSED, QuantkitError
from quantkit.files import inside, sha256_file
from quantkit.records.record import Record, Report
from quantkit.registry.admission import still_admitted
from quantkit.registry.evidence import require_evidence
from quantkit.registry.expected import Expected
from quantkit.registry.hub.claims import require_own_claims
from quantkit.registry.policy import RegistryPolicy
from quantkit.registry.release import release_of
from quantkit.registry.signing import is_signed

Finding = Literal["ok", "changed", "missing", "not listed", "not covered by the digest"]


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
    release: str | None = Field(
        default=None, description="name:version it was published as; None before releases were named"
    )
    signature: Literal["none", "not checked", "valid"] = Field(
        default="none", description="not checked: there is one, and no key was given"
    )
    problem: str | None = Field(default=None, description="the first thing that does not hold, in one line")
    refused: bool = Field(
        default=False,
        description="its evidence can be read, and does not give a pass by the policy (exit code 3)",
    )

    @property
    def exit_code(self) -> int:
        """0 when everything holds, 3 when the evidence can be read and does not, 2 for anything else."""
        return PASSED if self.verified else FAILED if self.refused else MISTAKE


def verify_artifact(
    path: Path, expected: Expected | None = None, *, policy: RegistryPolicy | None = None
) -> Verification:
    """Hash every file of a published artifact again, reports included, and judge it again from its evidence.

    Args:
        path: the published folder.
        expected: the digest, key and name that it must have too.
        policy: of the registry it is in; None: the one that let it in.

    Raises:
        ArtifactError: there is no manifest, or the manifest itself was changed (its seal is broken).
    """
    manifest = Manifest.read(path)
    listed = {**manifest.files, **manifest.reports}
    findings = [FileFinding(name=NAME, finding="ok", size=(path / NAME).stat().st_size)]
    findings += [_compare(path, name, record) for name, record in sorted(listed.items())]
    findings += [_unlisted(path, name) for name in manifest.unlisted(path)]
    findings += [_uncovered(path, name) for name in hub_files(path) if name not in listed]
    expected = expected or Expected()
    verdict, problem, release, refused = None, None, None, False
    signature: Literal["none", "not checked", "valid"] = "not checked" if is_signed(path) else "none"
    wrong = [finding for finding in findings if finding.finding in _SAID]
    if wrong:
        problem = f"{path / wrong[0].name}: {_SAID[wrong[0].finding]}; pull or publish the artifact again"
    elif not manifest.reports:
        problem = f"{path}: was never published, so its reports are not sealed; publish it first"
    else:
        try:
            artifact = Artifact.open(path, check=False)
            evidence = require_evidence(artifact)
            signed = still_admitted(artifact, evidence, policy)
            release = release_of(path, manifest)
            require_own_claims(path, evidence)
            expected.check(path, manifest)
            verdict = evidence.gate.verdict
            signature = "valid" if expected.signer or signed else signature
        except QuantkitError as error:
            problem, refused = str(error), error.exit_code == FAILED
    return Verification(
        path=str(path),
        artifact=manifest.digest,
        verified=problem is None,
        files=tuple(findings),
        published=bool(manifest.reports),
        verdict=verdict,
        release=str(release) if release else None,
        signature=signature,
        problem=problem,
        refused=refused,
    )


_SAID: dict[Finding, str] = {
    "changed": "its bytes are not those of the manifest",
    "missing": "is missing",
    "not listed": "is not listed in the manifest",
}


def _uncovered(folder: Path, name: str) -> FileFinding:
    return FileFinding(name=name, finding="not covered by the digest", size=(folder / name).stat().st_size)


def _unlisted(folder: Path, name: str) -> FileFinding:
    """Return the finding; a name that is no text is written with escapes, and what is no file has no size."""
    size = 0
    with contextlib.suppress(FileNotFoundError):
        status = (folder / name).lstat()
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    shown = os.fsencode(name).decode("utf-8", "backslashreplace")
    return FileFinding(name=shown, finding="not listed", size=size)


def _compare(folder: Path, name: str, record: FileRecord) -> FileFinding:
    path = inside(folder, name)
    if not path.is_file():
        return FileFinding(name=name, finding="missing", size=0)
    size = path.stat().st_size
    same = size == record.size and sha256_file(path) == record.sha256
    return FileFinding(name=name, finding="ok" if same else "changed", size=size)
