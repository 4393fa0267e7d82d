"""A registry that is a folder: `<root>/<name>/<version>/`, each version an artifact with hashed reports.

A version appears whole or not at all, and never changes. Publishers of the same name wait for one another (a
lock on `<root>/<name>/.lock`), and a version is put in place by a rename that fails where one is already, so
that of two publishers of one version exactly one wins, also on a file system without locks.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact, Manifest
from quantkit.artifact.manifest import NAME as MANIFEST
from quantkit.artifact.manifest import SIGNATURE
from quantkit.errors import ArtifactError, OutputError, RegistryError
from quantkit.files import inside, naming_output_errors, new_folder, write_json
from quantkit.partial import partial_folder, remove_abandoned
from quantkit.recipe.settings import Layout
from quantkit.registry.admission import admit
from quantkit.registry.channel_signature import require_signed, signed
from quantkit.registry.channels import Channels, publication_order
from quantkit.registry.evidence import Evidence, require_evidence
from quantkit.registry.expected import Expected, require_pulled
from quantkit.registry.policy import RegistryPolicy
from quantkit.registry.protocol import Released
from quantkit.registry.reference import NAME, VERSION, Reference, version_order
from quantkit.registry.release import assemble, copy_file
from quantkit.registry.signing import Signer, is_signed
from quantkit.registry.verification import Verification, verify_artifact

_LOCK = ".lock"
_CHANNELS = ".channels.json"


@dataclass(frozen=True, slots=True)
class DirectoryRegistry:
    """Published artifacts under one folder.

    Attributes:
        folder: of the registry.
        layout: of what is published: `hub` writes the Hugging Face Hub's files beside each release.
    """

    folder: Path
    layout: Layout = "plain"

    def __str__(self) -> str:
        return str(self.folder)

    def policy(self) -> RegistryPolicy:
        """Return the floors of this registry.

        Raises:
            RegistryError: its `policy.yaml` does not fit.
        """
        return RegistryPolicy.of(self.folder)

    def publish(
        self,
        artifact: Artifact,
        *,
        name: str,
        version: str,
        signer: Signer | None = None,
        override: str | None = None,
    ) -> Path:
        """Copy an artifact that passed its gate into the registry and return where it is.

        Every byte is hashed again on the way.

        Args:
            artifact: with its evidence.
            name: in the registry.
            version: never overwritten.
            signer: signs what is published; None: nobody.
            override: the reason to pass over the registry's policy, where the policy allows that.

        Raises:
            PublishRefused: there is no passing gate report for exactly these bytes, or the policy is not met.
            RegistryError: the version exists, the report is of another artifact, or a name is no word.
            ArtifactError: a byte is not what the manifest says.
            OutputError: the registry cannot be written.
            UsageError: the key cannot sign, or the layout is `hub` and `huggingface_hub` is not installed.
        """
        reference = Reference.checked(name, version)
        source = artifact.opened_again()
        evidence = require_evidence(source)
        policy = self.policy()
        admission = admit(source, evidence, policy, override=override, signer=signer)
        place = self._place(reference)
        with self._publishing(reference):
            if place.exists():
                raise self._taken(reference)
            if version in self.channels(name).channels:
                raise RegistryError(f"{self.folder}: {reference} is a channel; choose another version")
            try:
                with new_folder(place) as folder:
                    assemble(source, folder, reference, evidence, admission)
                    if signer is not None:
                        signer.sign(folder, f"{name}-{version}")
                    if self.layout == "hub":
                        _write_hub_files(folder, reference, evidence)
                    require_pulled(folder, None, policy)
            except (OSError, OutputError) as error:
                if not (place / MANIFEST).is_file():
                    raise
                raise self._taken(reference) from error
        return place

    def find(self, reference: str) -> Path:
        """Return the folder of `name:version`, or of the version that `name:channel` points to.

        Raises:
            RegistryError: there is none; it says which versions there are.
        """
        return self._place(self.resolve(reference))

    def resolve(self, reference: str) -> Reference:
        """Return `name:version` for itself or for `name:channel`.

        Raises:
            RegistryError: there is none; it says which versions there are.
        """
        wanted = Reference.parse(reference)
        if not (self._place(wanted) / MANIFEST).is_file():
            current = self.channels(wanted.name).current(wanted.version)
            if current is not None:
                return self.resolve(f"{wanted.name}:{current.version}")
            there = self.versions(wanted.name)
            hint = (
                f"published: {', '.join(there)}"
                if there
                else f"names here: {', '.join(self.names()) or 'none'}"
            )
            raise RegistryError(f"{self.folder}: has no {wanted}; {hint}")
        return wanted

    def digest(self, reference: str) -> str | None:
        """Return the digest of `name:version`, or None when it is not published."""
        wanted = Reference.parse(reference)
        place = self._place(wanted)
        return Manifest.read(place).digest if (place / MANIFEST).is_file() else None

    def holds(self, artifact: Artifact, reference: str) -> Path | None:
        """Return where exactly these bytes are published, verified, under this name and version.

        Raises:
            ArtifactError: the published manifest was changed.
            RegistryError: name or version is no word.
        """
        if self.digest(reference) != artifact.digest:
            return None
        return self.find(reference) if self.verify(reference).verified else None

    def names(self) -> list[str]:
        """Return the names under which anything is published, sorted."""
        if not self.folder.is_dir():
            return []
        there = (path.name for path in self.folder.iterdir() if NAME.fullmatch(path.name) and path.is_dir())
        return sorted(name for name in there if self.versions(name))

    def versions(self, name: str) -> list[str]:
        """Return the published versions of a name, in the order of their numbers."""
        folder = self.folder / Reference.checked(name, "0").name
        if not folder.is_dir():
            return []
        there = [path.name for path in folder.iterdir() if (path / MANIFEST).is_file()]
        return sorted((version for version in there if VERSION.fullmatch(version)), key=version_order)

    def releases(self, name: str) -> list[Released]:
        """Return the published versions of a name, in the order they were published.

        The time is that of the manifest's file; copy a registry with `cp -a`, which keeps it.
        """
        found = []
        for version in self.versions(name):
            place = self._place(Reference(name=name, version=version))
            found.append(
                Released(
                    version=version,
                    artifact=Manifest.read(place).digest,
                    published=(place / MANIFEST).stat().st_mtime,
                    signed=is_signed(place),
                )
            )
        return sorted(found, key=publication_order)

    def verify(self, reference: str, expected: Expected | None = None) -> Verification:
        """Hash everything of `name:version` again and read its evidence; see `verify_artifact`.

        Raises:
            RegistryError: there is no such version.
            ArtifactError: its manifest was changed.
        """
        wanted = self.resolve(reference)
        return verify_artifact(
            self._place(wanted), (expected or Expected()).named(wanted), policy=self.policy()
        )

    def pull(
        self, reference: str, out: Path, *, force: bool = False, expected: Expected | None = None
    ) -> Artifact:
        """Copy `name:version` out of the registry; the copy is verified before it appears.

        Raises:
            RegistryError: there is no such version, or it is not what is expected.
            ArtifactError: a byte of it is not what the manifest says.
            PublishRefused: its evidence does not hold.
            OutputError: `out` cannot be written.
        """
        wanted = self.resolve(reference)
        return pull_folder(
            self._place(wanted),
            out,
            force=force,
            expected=(expected or Expected()).named(wanted),
            policy=self.policy(),
        )

    def channels(self, name: str) -> Channels:
        """Return the channels of a name.

        Raises:
            ArtifactError: their file was damaged.
            RegistryError: the policy has signers, and none of them signed it.
        """
        path = self.folder / Reference.checked(name, "0").name / _CHANNELS
        if not path.is_file():
            return Channels()
        channels = Channels.read(path)
        require_signed(channels, name, self.policy(), str(path))
        return channels

    def change_channels(
        self,
        name: str,
        channel: str,
        step: Callable[[Channels], Channels],
        signer: Signer | None = None,
    ) -> None:
        """Let `step` change the channels of a name while no other publisher or mover can.

        Raises:
            RegistryError: nothing is published under this name, `step` refuses, or the signer is none of the policy's.
            UsageError: the key cannot sign.
            OutputError: the registry cannot be written.
        """
        del channel  # the record is all there is: no link of that name could move at the same instant
        if not self.versions(name):
            there = ", ".join(self.names()) or "none"
            raise RegistryError(f"{self.folder}: has no {name}; names here: {there}")
        with self._publishing(Reference.checked(name, "0")):
            before = self.channels(name)
            after = step(before)
            if after != before:
                path = self.folder / name / _CHANNELS
                write_json(path, signed(after, name, signer, self.policy(), str(path)).as_json())

    def remove(self, name: str, version: str) -> None:
        """Remove a version: it goes at once, by a rename, and then its bytes.

        Raises:
            OutputError: the registry cannot be written.
        """
        place = self._place(Reference.checked(name, version))
        with (
            self._publishing(Reference.checked(name, version)),
            naming_output_errors(place),
            partial_folder(place) as grave,
        ):
            place.rename(grave / version)

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
                remove_abandoned(folder)
            yield
        finally:
            os.close(handle)


def _write_hub_files(folder: Path, reference: Reference, evidence: Evidence) -> None:
    """Write the Hub's files; after the signature, which does not cover them: people edit them there."""
    from quantkit.registry.hub.card import write_hub_files

    write_hub_files(folder, reference, evidence)


def pull_folder(
    source: Path,
    out: Path,
    *,
    force: bool = False,
    expected: Expected | None = None,
    policy: RegistryPolicy | None = None,
) -> Artifact:
    """Copy a published artifact's folder to `out`; the copy is verified before it appears.

    Args:
        source: the folder.
        out: where the copy goes.
        force: replace what is there.
        expected: the digest, key and name that it must have too.
        policy: of the registry that the folder is in; None: the one that let it in.

    Raises:
        RegistryError: the artifact was never published, or is not what is expected.
        ArtifactError: a byte of it is not what the manifest says.
        PublishRefused: its evidence does not hold.
        OutputError: `out` cannot be written.
    """
    manifest = Manifest.read(source)
    if not manifest.reports:
        raise RegistryError(f"{source}: was never published; publish it first, or copy it as it is")
    with new_folder(out, force=force) as folder:
        signature = (SIGNATURE,) if is_signed(source) else ()
        for name in (MANIFEST, *manifest.files, *manifest.reports, *signature):
            copy_file(source, folder, name)
        require_pulled(folder, expected, policy)
    return Artifact.open(out, check=False)
