"""What somebody who verifies or pulls knows already: the digest, the key of the publisher, the name."""

import re
from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact, Manifest
from quantkit.errors import RegistryError, UsageError
from quantkit.registry.admission import still_admitted
from quantkit.registry.evidence import require_evidence
from quantkit.registry.policy import RegistryPolicy
from quantkit.registry.reference import Reference
from quantkit.registry.release import release_of
from quantkit.registry.signing import require_signature

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What a published folder must be, besides whole.

    Attributes:
        reference: the name and version it was asked for by.
        digest: of the artifact, 64 hexadecimal digits.
        signer: the public key or root certificate that its signature must be of.
    """

    reference: Reference | None = None
    digest: str | None = None
    signer: Path | None = None

    @classmethod
    def parse(cls, *, digest: str | None = None, signer: Path | None = None) -> "Expected":
        """Read `--digest` and `--require-signer`.

        Raises:
            UsageError: the digest is none.
        """
        if digest is None:
            return cls(signer=signer)
        match = _DIGEST.fullmatch(digest.strip().lower())
        if match is None:
            raise UsageError(
                f"--digest {digest}: is no digest; give the 64 digits that `quantkit publish` printed"
            )
        return cls(digest=match[1], signer=signer)

    def named(self, reference: Reference) -> "Expected":
        """Return the same, for what is published under this name and version."""
        return Expected(reference=reference, digest=self.digest, signer=self.signer)

    def check(self, folder: Path, manifest: Manifest) -> None:
        """Check a published folder whose bytes are those of its manifest.

        Raises:
            RegistryError: it is another artifact, another release, or not signed by the key.
            ArtifactError: `reports/release.json` is none.
            UsageError: the key cannot be used, or model-signing is not installed.
        """
        if self.digest is not None and manifest.digest != self.digest:
            raise RegistryError(
                f"{folder}: is the artifact {manifest.digest[:12]}, not {self.digest[:12]} as --digest says; "
                "do not use it, and ask its publisher"
            )
        release = release_of(folder, manifest)
        if self.reference is not None and release is not None and str(release) != str(self.reference):
            raise RegistryError(
                f"{folder}: is the release {release}, not {self.reference}; it was moved or copied there, "
                "do not use it"
            )
        if self.signer is not None:
            require_signature(folder, self.signer)
            if release is None:
                raise RegistryError(
                    f"{folder}: its signature does not say which release it is; publish it again"
                )


def require_pulled(folder: Path, expected: Expected | None, policy: RegistryPolicy | None = None) -> None:
    """Check a folder that was just copied: every byte, the evidence, and what is expected of it.

    Raises:
        RegistryError: it was never published, or is not what is expected.
        ArtifactError: a byte of it is not what the manifest says.
        PublishRefused: its evidence does not hold.
    """
    artifact = Artifact.open(folder)
    still_admitted(artifact, require_evidence(artifact), policy)
    (expected or Expected()).check(folder, artifact.manifest)
