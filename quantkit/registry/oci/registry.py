"""A registry that speaks OCI's distribution protocol: `oci://host[:port]/prefix/name:version`.

What the protocol gives is content by digest. It does not keep a tag where it is, and has no way to create a tag
only when there is none. So the digest is what is trusted: a version that exists is refused, the tag is read once
more just before it is put and again after a moment, and a publisher who lost to another is told. Two publishers
whose requests fall into the same instant can still not be told apart by every registry; docs/registry.md says who
promises what.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.artifact.manifest import SIGNATURE
from quantkit.errors import RegistryError
from quantkit.files import inside, naming, naming_output_errors, new_folder
from quantkit.progress import track
from quantkit.registry.admission import admit
from quantkit.registry.channel_signature import require_signed, signed
from quantkit.registry.channels import Channels, now, publication_order
from quantkit.registry.evidence import require_evidence
from quantkit.registry.expected import Expected, require_pulled
from quantkit.registry.oci import seen
from quantkit.registry.oci.channel_record import RECORD, read_channels, write_channels
from quantkit.registry.oci.client import Blob, Client
from quantkit.registry.oci.layout import CREATED, Layout, Packed, pack, unpack
from quantkit.registry.oci.location import Location, parse_pinned
from quantkit.registry.oci.transport import Transport
from quantkit.registry.policy import RegistryPolicy
from quantkit.registry.protocol import Pinned, Released
from quantkit.registry.reference import VERSION, Reference, version_order
from quantkit.registry.release import assemble
from quantkit.registry.signing import Signer
from quantkit.registry.verification import Verification, verify_artifact

# How long a publisher waits before it reads its tag back: others who looked before it wrote have written by then.
SETTLE_SECONDS = 0.5
_TRIES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class OciRegistry:
    """Published artifacts below one path of an OCI registry; every name is a repository."""

    location: Location
    client: Client
    policy_file: Path | None = None

    @classmethod
    def at(cls, text: str, *, insecure: bool = False, policy: Path | None = None) -> "OciRegistry":
        """Return the registry at `oci://host[:port][/prefix]`; nothing is asked yet.

        Raises:
            RegistryError: the text is not of that form.
        """
        return cls.of(Location.parse(text), insecure=insecure, policy=policy)

    @classmethod
    def of(cls, location: Location, *, insecure: bool = False, policy: Path | None = None) -> "OciRegistry":
        """Return the registry at a location, held to a policy of the user's.

        Args:
            location: where it is.
            insecure: plain HTTP to another machine is allowed.
            policy: a policy.yaml; None: the default.
        """
        client = Client(transport=Transport(location=location, insecure=insecure))
        return cls(location=location, client=client, policy_file=policy)

    def __str__(self) -> str:
        return str(self.location)

    def policy(self) -> RegistryPolicy:
        """Return the user's policy, or the strict default.

        An OCI registry has no place for a policy that publishers cannot write, so whoever publishes, promotes,
        verifies or pulls brings it.

        Raises:
            RegistryError: the file does not fit.
        """
        return RegistryPolicy() if self.policy_file is None else RegistryPolicy.read(self.policy_file)

    def publish(
        self,
        artifact: Artifact,
        *,
        name: str,
        version: str,
        signer: Signer | None = None,
        override: str | None = None,
    ) -> Pinned:
        """Push an artifact that passed its gate and return its reference and digest.

        Files that are there already are not sent again, so a push that was cut off goes on where it was.

        Raises:
            PublishRefused: there is no passing gate report for exactly these bytes.
            RegistryError: the version exists or appears meanwhile, a name is no word, or the registry fails.
            ArtifactError: a byte is not what the manifest says.
        """
        reference, _ = parse_pinned(f"{name}:{version}")
        repository = self.location.repository(name)
        source = artifact.opened_again()
        evidence = require_evidence(source)
        policy = self.policy()
        admission = admit(source, evidence, policy, override=override, signer=signer)
        if version == RECORD or version in self.channels(name).channels:
            raise RegistryError(f"{self}: {reference} is a channel; choose another version")
        if self.client.manifest(repository, version) is not None:
            raise self._taken(reference)
        with tempfile.TemporaryDirectory(prefix="quantkit-") as above:
            folder = Path(above) / f"{name}-{version}"
            folder.mkdir()
            with naming_output_errors(folder, within=folder):
                assemble(source, folder, reference, evidence, admission)
                if signer is not None:
                    signer.sign(folder, folder.name)
            require_pulled(folder, None, policy)
            packed = pack(folder, reference, now())
            self._push_blobs(repository, packed)
            self._put_once(reference, packed)
        pinned = Pinned(location=self.location.place(reference), digest=Blob.of(packed.manifest).digest)
        seen.remember(pinned.location, pinned.digest)
        return pinned

    def holds(self, artifact: Artifact, reference: str) -> Pinned | None:
        """Return where exactly these bytes are, going by the digests of all files, which the registry has.

        Raises:
            RegistryError: the registry fails, or holds something else there.
        """
        wanted, _ = parse_pinned(reference)
        repository = self.location.repository(wanted.name)
        content = self.client.manifest(repository, wanted.version)
        if content is None:
            return None
        layout = unpack(content, self.location.place(wanted))
        expected = {name: f"sha256:{record.sha256}" for name, record in artifact.manifest.files.items()}
        found = {layer.name: layer.blob.digest for layer in layout.layers}
        if layout.artifact != artifact.digest or not expected.items() <= found.items():
            return None
        if not all(self.client.has_blob(repository, digest) for digest in found.values()):
            return None
        seen.require_unmoved(self.location.place(wanted), layout.digest)
        return self._pinned(wanted, layout)

    def resolve(self, reference: str) -> Reference:
        """Return `name:version` for itself, with or without a digest, or for `name:channel`.

        Raises:
            RegistryError: there is none; it says which versions there are.
        """
        return self._locate(reference)[0]

    def verify(self, reference: str, expected: Expected | None = None) -> Verification:
        """Read every byte of a version into a temporary folder and verify that; see `verify_artifact`.

        Raises:
            RegistryError: there is no such version, its tag was moved, or the registry fails.
            ArtifactError: its manifest was changed.
        """
        wanted, layout = self._locate(reference)
        pinned = self._pinned(wanted, layout)
        expected = (expected or Expected()).named(wanted)
        self._require_unmoved(pinned, expected, reference)
        with tempfile.TemporaryDirectory(prefix="quantkit-") as above:
            folder = Path(above) / "artifact"
            folder.mkdir()
            with naming(folder, Path(str(pinned))):
                self._fetch(wanted, layout, folder)
                found = verify_artifact(folder, expected, policy=self.policy())
                problem = found.problem.replace(str(folder), str(pinned)) if found.problem else None
            if problem is None:
                seen.remember(pinned.location, pinned.digest)
            return found.model_copy(update={"path": str(pinned), "problem": problem})

    def pull(
        self, reference: str, out: Path, *, force: bool = False, expected: Expected | None = None
    ) -> Artifact:
        """Read a version into `out`; it is verified before it appears.

        Raises:
            RegistryError: there is no such version, it is not what is expected, or the registry fails.
            ArtifactError: a byte of it is not what the manifest says.
            PublishRefused: its evidence does not hold.
            OutputError: `out` cannot be written.
        """
        wanted, layout = self._locate(reference)
        pinned = self._pinned(wanted, layout)
        expected = (expected or Expected()).named(wanted)
        self._require_unmoved(pinned, expected, reference)
        with new_folder(out, force=force) as folder:
            self._fetch(wanted, layout, folder)
            require_pulled(folder, expected, self.policy())
        seen.remember(pinned.location, pinned.digest)
        return Artifact.open(out, check=False)

    def names(self) -> list[str]:
        """Return the names below this path, where the registry lists its repositories.

        Raises:
            RegistryError: it does not.
        """
        start = f"{self.location.prefix}/" if self.location.prefix else ""
        below = [name.removeprefix(start) for name in self.client.repositories() if name.startswith(start)]
        return sorted(name for name in below if "/" not in name and self._versions(name))

    def releases(self, name: str) -> list[Released]:
        """Return the published versions of a name, in the order of the times their publishers wrote down."""
        found = []
        for version in self._versions(name):
            layout = None
            with contextlib.suppress(RegistryError):  # a tag of another tool's is no version
                layout = self._layout(Reference.checked(name, version), version)
            if layout is not None:
                found.append(
                    Released(
                        version=version,
                        artifact=layout.artifact,
                        published=_seconds(layout.annotations.get(CREATED, "")),
                        signed=layout.file(SIGNATURE) is not None,
                    )
                )
        return sorted(found, key=publication_order)

    def channels(self, name: str) -> Channels:
        """Return the channels of a name.

        Raises:
            RegistryError: there is no such record, or the policy has signers and none of them signed it.
        """
        return self._channels(name)[0]

    def change_channels(
        self,
        name: str,
        channel: str,
        step: Callable[[Channels], Channels],
        signer: Signer | None = None,
    ) -> None:
        """Let `step` change the record of channels, and put the channel's tag for tools that know tags only.

        Raises:
            RegistryError: `step` refuses, the version was moved, others change the record all the time, or the
                signer is none of the policy's.
            UsageError: the key cannot sign.
        """
        repository = self.location.repository(Reference.checked(name, "0").name)
        for _ in range(_TRIES):
            before, digest = self._channels(name)
            after = step(before)
            if after != before:
                after = signed(after, name, signer, self.policy(), self._record(name))
            if after == before or self._kept(repository, after, digest):
                move = after.current(channel)
                if move is not None:
                    self._put_tag(name, channel, move.version, move.artifact)
                return
        raise RegistryError(f"{self}: others change the channels of {name} at the same time; try again")

    def remove(self, name: str, version: str) -> None:
        """Delete the manifest of a version; the registry's own garbage collection then frees its blobs.

        Raises:
            RegistryError: the registry does not delete.
        """
        layout = self._layout(Reference.checked(name, version), version)
        if layout is not None:
            self.client.delete_manifest(self.location.repository(name), layout.digest)

    def _channels(self, name: str) -> tuple[Channels, str | None]:
        channels, digest = read_channels(self.client, self.location.repository(name))
        if digest is not None:
            require_signed(channels, name, self.policy(), self._record(name))
        return channels, digest

    def _record(self, name: str) -> str:
        """Return what messages call the record of channels."""
        return f"{self.location}: {self.location.repository(name)}:{RECORD}"

    def _locate(self, reference: str) -> tuple[Reference, Layout]:
        wanted, digest = parse_pinned(reference)
        current = self.channels(wanted.name).current(wanted.version)
        if current is not None:
            wanted = Reference.checked(wanted.name, current.version)
        layout = self._layout(wanted, digest or wanted.version)
        if layout is None:
            there = self._versions(wanted.name)
            hint = f"published: {', '.join(there)}" if there else "there is nothing under this name"
            raise RegistryError(f"{self}: has no {wanted}; {hint}")
        return wanted, layout

    def _layout(self, reference: Reference, tag: str) -> Layout | None:
        content = self.client.manifest(self.location.repository(reference.name), tag)
        return None if content is None else unpack(content, self.location.place(reference))

    def _versions(self, name: str) -> list[str]:
        """Return the tags that can be versions: no channel, no record, no fallback tag of the referrers API."""
        repository = self.location.repository(Reference.checked(name, "0").name)
        others = {RECORD, *self.channels(name).channels}
        tags = (tag for tag in self.client.tags(repository) if tag not in others and VERSION.fullmatch(tag))
        return sorted((tag for tag in tags if not tag.startswith("sha256-")), key=version_order)

    def _pinned(self, reference: Reference, layout: Layout) -> Pinned:
        return Pinned(location=self.location.place(reference), digest=layout.digest)

    def _require_unmoved(self, pinned: Pinned, expected: Expected, reference: str) -> None:
        """Refuse a tag that moved since it was seen here, unless the caller says which digest is right."""
        if "@" not in reference and expected.digest is None:
            seen.require_unmoved(pinned.location, pinned.digest)

    def _fetch(self, reference: Reference, layout: Layout, folder: Path) -> None:
        repository = self.location.repository(reference.name)
        with track("pull", layout.size, "bytes") as advance, naming_output_errors(folder, within=folder):
            for layer in layout.layers:
                target = inside(folder, layer.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                self.client.fetch_blob(repository, layer.blob, target, advance)

    def _push_blobs(self, repository: str, packed: Packed) -> None:
        total = sum(blob.size for blob, _ in packed.layers)
        with track("push", total, "bytes") as advance:
            for blob, path in packed.layers:
                self.client.push_blob(repository, blob, path, advance)
        self.client.push_blob(repository, Blob.of(packed.config), packed.config, lambda _: None)

    def _put_once(self, reference: Reference, packed: Packed) -> None:
        """Put the tag of a version, unless it appeared meanwhile; tell when another publisher put it after us."""
        repository, tag = self.location.repository(reference.name), reference.version
        own = Blob.of(packed.manifest).digest
        if self.client.manifest(repository, tag) is not None:
            raise self._taken(reference)
        self.client.put_manifest(repository, tag, packed.manifest)
        time.sleep(SETTLE_SECONDS)
        content = self.client.manifest(repository, tag)
        if content != packed.manifest:
            other = "nothing" if content is None else Blob.of(content).digest[:19]
            raise RegistryError(
                f"{self}: another publisher took {reference} at the same moment: its tag is {other} now, and yours "
                f"only {own}; choose another version"
            )

    def _taken(self, reference: Reference) -> RegistryError:
        return RegistryError(
            f"{self}: {reference} is published and is never overwritten; choose another version"
        )

    def _kept(self, repository: str, channels: Channels, before: str | None) -> bool:
        """Write the record of channels unless it changed since it was read; return whether ours is there."""
        if read_channels(self.client, repository)[1] != before:
            return False
        own = write_channels(self.client, repository, channels)
        time.sleep(SETTLE_SECONDS)
        return read_channels(self.client, repository)[1] == own

    def _put_tag(self, name: str, channel: str, version: str, artifact: str) -> None:
        repository = self.location.repository(name)
        reference = Reference.checked(name, version)
        content = self.client.manifest(repository, version)
        if content is None or unpack(content, self.location.place(reference)).artifact != artifact:
            raise RegistryError(
                f"{self}: {reference} is not the artifact {artifact[:12]} any more that {channel} was pointed to; "
                "its tag was moved, ask its publisher"
            )
        if self.client.manifest(repository, channel) != content:
            self.client.put_manifest(repository, channel, content)


def _seconds(text: str) -> float:
    """Return an RFC 3339 time in seconds since 1970; 0 for what is none, which is before everything else."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
