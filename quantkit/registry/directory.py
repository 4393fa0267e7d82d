"""A registry that is a folder: `<root>/<name>/<version>/`, each version an artifact with hashed reports.

A version appears whole or not at all, and never changes. Publishers of the same name wait for one another (a
lock on `<root>/<name>/.lock`), and a version is put in place by a rename that fails where one is already, so
that of two publishers of one version exactly one wins, also on a file system without locks.
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact, Manifest
from quantkit.artifact.manifest import NAME as MANIFEST
from quantkit.artifact.manifest import REPORTS, hash_files
from quantkit.errors import ArtifactError, OutputError, RegistryError
from quantkit.files import PARTIAL, inside, naming_output_errors, new_folder, write_json, write_text
from quantkit.registry.admission import Admission, admit, still_admitted
from quantkit.registry.evidence import ADMISSION, Evidence, report_sources, require_evidence
from quantkit.registry.policy import RegistryPolicy
from quantkit.registry.verification import Verification, verify_artifact

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_VERSION = re.compile(r"[0-9A-Za-z]+(?:[._+-][0-9A-Za-z]+)*")
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """`name:version`, the way to say which published artifact is meant."""

    name: str
    version: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read `name:version`.

        Raises:
            RegistryError: it is not of that form.
        """
        name, colon, version = text.partition(":")
        if not colon:
            raise RegistryError(
                f"{text}: expected name:version, such as minilm-squad:1.0.0, or an artifact folder"
            )
        return cls.checked(name, version)

    @classmethod
    def checked(cls, name: str, version: str) -> "Reference":
        """Return the reference, refusing names that are not plain words (and so never a path).

        Raises:
            RegistryError: naming the part that is wrong.
        """
        if not _NAME.fullmatch(name):
            raise RegistryError(
                f"{name!r}: is no name; use lower-case letters, digits and single . _ - between them"
            )
        if not _VERSION.fullmatch(version):
            raise RegistryError(
                f"{version!r}: is no version; use letters, digits and single . _ + - between them"
            )
        return cls(name=name, version=version)

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True)
class DirectoryRegistry:
    """Published artifacts under one folder."""

    folder: Path

    def policy(self) -> RegistryPolicy:
        """Return the floors of this registry.

        Raises:
            RegistryError: its `policy.yaml` does not fit.
        """
        return RegistryPolicy.of(self.folder)

    def publish(self, artifact: Artifact, *, name: str, version: str, override: str | None = None) -> Path:
        """Copy an artifact that passed its gate into the registry and return where it is.

        Every byte is hashed again on the way.

        Args:
            artifact: with its evidence.
            name: in the registry.
            version: never overwritten.
            override: the reason to pass over the registry's policy, where the policy allows that.

        Raises:
            PublishRefused: there is no passing gate report for exactly these bytes, or the policy is not met.
            RegistryError: the version exists, the report is of another artifact, or a name is no word.
            ArtifactError: a byte is not what the manifest says.
            OutputError: the registry cannot be written.
        """
        reference = Reference.checked(name, version)
        source = Artifact.open(artifact.path)
        evidence = require_evidence(source)
        admission = admit(source, evidence, self.policy(), override=override)
        place = self._place(reference)
        with self._publishing(reference):
            if place.exists():
                raise self._taken(reference)
            try:
                with new_folder(place) as folder:
                    _copy(source, folder, evidence, admission)
                    require_evidence(Artifact.open(folder))
            except (OSError, OutputError) as error:
                if not (place / MANIFEST).is_file():
                    raise
                raise self._taken(reference) from error
        return place

    def find(self, reference: str) -> Path:
        """Return the folder of `name:version`.

        Raises:
            RegistryError: there is none; it says which versions there are.
        """
        wanted = Reference.parse(reference)
        place = self._place(wanted)
        if not (place / MANIFEST).is_file():
            there = self.versions(wanted.name)
            hint = (
                f"published: {', '.join(there)}"
                if there
                else f"names here: {', '.join(self.names()) or 'none'}"
            )
            raise RegistryError(f"{self.folder}: has no {wanted}; {hint}")
        return place

    def digest(self, reference: str) -> str | None:
        """Return the digest of `name:version`, or None when it is not published."""
        wanted = Reference.parse(reference)
        place = self._place(wanted)
        return Manifest.read(place).digest if (place / MANIFEST).is_file() else None

    def names(self) -> list[str]:
        """Return the names under which anything is published, sorted."""
        if not self.folder.is_dir():
            return []
        there = (path.name for path in self.folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())
        return sorted(name for name in there if self.versions(name))

    def versions(self, name: str) -> list[str]:
        """Return the published versions of a name, in the order of their numbers."""
        folder = self.folder / Reference.checked(name, "0").name
        if not folder.is_dir():
            return []
        there = [path.name for path in folder.iterdir() if (path / MANIFEST).is_file()]
        return sorted((version for version in there if _VERSION.fullmatch(version)), key=_version_order)

    def verify(self, reference: str) -> Verification:
        """Hash everything of `name:version` again and read its evidence; see `verify_artifact`.

        Raises:
            RegistryError: there is no such version.
            ArtifactError: its manifest was changed.
        """
        return verify_artifact(self.find(reference), policy=self.policy())

    def pull(self, reference: str, out: Path, *, force: bool = False) -> Artifact:
        """Copy `name:version` out of the registry; the copy is verified before it appears.

        Raises:
            RegistryError: there is no such version.
            ArtifactError: a byte of it is not what the manifest says.
            PublishRefused: its evidence does not hold.
            OutputError: `out` cannot be written.
        """
        return pull_folder(self.find(reference), out, force=force, policy=self.policy())

    def _place(self, reference: Reference) -> Path:
        try:
            return inside(self.folder, f"{reference.name}/{reference.version}")
        except ArtifactError as error:
            raise RegistryError(
                f"{self.folder}: {reference} leads out of the registry; remove the link"
            ) from error

    def _taken(self, reference: Reference) -> RegistryError:
        return RegistryError(
            f"{self.folder}: {reference} is published and is never overwritten; choose another version"
        )

    @contextlib.contextmanager
    def _publishing(self, reference: Reference) -> Iterator[None]:
        """Hold the lock of a name, and clear away what publishers that died have left."""
        folder = self.folder / reference.name
        with naming_output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            # A file system without locks still has the rename: let it pass.
            locked = False
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
                locked = True
            if locked:
                for leftover in folder.glob(f".*{PARTIAL}*"):
                    shutil.rmtree(leftover, ignore_errors=True)
            yield
        finally:
            os.close(handle)


def pull_folder(
    source: Path, out: Path, *, force: bool = False, policy: RegistryPolicy | None = None
) -> Artifact:
    """Copy a published artifact's folder to `out`; the copy is verified before it appears.

    Args:
        source: the folder.
        out: where the copy goes.
        force: replace what is there.
        policy: of the registry that the folder is in; None: the one that let it in.

    Raises:
        RegistryError: the artifact was never published.
        ArtifactError: a byte of it is not what the manifest says.
        PublishRefused: its evidence does not hold.
        OutputError: `out` cannot be written.
    """
    manifest = Manifest.read(source)
    if not manifest.reports:
        raise RegistryError(f"{source}: was never published; publish it first, or copy it as it is")
    with new_folder(out, force=force) as folder:
        for name in (MANIFEST, *manifest.files, *manifest.reports):
            _copy_file(source, folder, name)
        copied = Artifact.open(folder)
        still_admitted(copied, require_evidence(copied), policy)
    return Artifact.open(out, check=False)


def _copy(artifact: Artifact, folder: Path, evidence: Evidence, admission: Admission) -> None:
    """Copy an artifact and the reports that are published; the new manifest hashes the reports too."""
    for name in artifact.manifest.files:
        _copy_file(artifact.path, folder, name)
    sources = report_sources(artifact, evidence.gate)
    reports = sorted(name for name, source in sources.items() if artifact.report_path(source).is_file())
    for name in reports:
        _copy_file(artifact.path, folder, f"{REPORTS}/{name}", taken_from=f"{REPORTS}/{sources[name]}")
    write_json(folder / REPORTS / ADMISSION, admission.as_json())
    hashed = hash_files(folder, [f"{REPORTS}/{name}" for name in sorted([*reports, ADMISSION])])
    manifest = artifact.manifest.model_copy(update={"reports": hashed})
    write_text(folder / MANIFEST, manifest.serialized())


def _copy_file(source: Path, folder: Path, name: str, *, taken_from: str | None = None) -> None:
    origin, target = inside(source, taken_from or name), inside(folder, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(origin, target)
    except FileNotFoundError:
        raise ArtifactError(
            f"{origin}: is missing; the artifact is not whole, make or pull it again"
        ) from None
    with target.open("rb") as stream:
        os.fsync(stream.fileno())


def _version_order(version: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts 1.10 after 1.9."""
    parts = re.split(r"[._+-]", version)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
