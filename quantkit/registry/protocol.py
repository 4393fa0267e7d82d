"""What every registry can do: the directory one and the OCI one are its two implementations.

Rules that are the same everywhere (what may be published, how a channel moves, what is garbage) are functions
elsewhere in this package; a registry keeps bytes and records, and says what it promises about them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from quantkit.artifact import Artifact
from quantkit.registry.expected import Expected
from quantkit.registry.policy import RegistryPolicy
from quantkit.registry.reference import Reference
from quantkit.registry.signing import Signer
from quantkit.registry.verification import Verification

if TYPE_CHECKING:
    from quantkit.registry.channels import Channels


@dataclass(frozen=True, kw_only=True, slots=True)
class Pinned:
    """Where a version is in an OCI registry: its reference and the digest of its OCI manifest."""

    location: str
    digest: str

    def __str__(self) -> str:
        return f"{self.location}@{self.digest}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """One published version.

    Attributes:
        artifact: digest of the artifact, as the registry says it; verifying shows whether it is true.
        published: when, in seconds since 1970.
    """

    version: str
    artifact: str
    published: float
    signed: bool


class Registry(Protocol):
    """Published artifacts, by name and version. `str()` names the registry in messages."""

    def policy(self) -> RegistryPolicy:
        """Return the floors of this registry."""

    def publish(
        self,
        artifact: Artifact,
        *,
        name: str,
        version: str,
        signer: Signer | None = None,
        override: str | None = None,
    ) -> Path | Pinned:
        """Publish an artifact that passed its gate, signed when there is a signer; never over another."""

    def holds(self, artifact: Artifact, reference: str) -> Path | Pinned | None:
        """Return where exactly these bytes are, whole, under this name and version; None when they are not."""

    def verify(self, reference: str, expected: Expected | None = None) -> Verification:
        """Read every byte of a version again, its evidence and its signature."""

    def pull(
        self, reference: str, out: Path, *, force: bool = False, expected: Expected | None = None
    ) -> Artifact:
        """Copy a version out; the copy is verified before it appears."""

    def resolve(self, reference: str) -> Reference:
        """Return `name:version` for `name:version` or `name:channel`, or raise saying what there is."""

    def names(self) -> list[str]:
        """Return the names under which anything is published, sorted."""

    def releases(self, name: str) -> list[Released]:
        """Return the published versions of a name, in the order they were published."""

    def channels(self, name: str) -> "Channels":
        """Return the channels of a name."""

    def change_channels(
        self,
        name: str,
        channel: str,
        step: Callable[["Channels"], "Channels"],
        signer: Signer | None = None,
    ) -> None:
        """Read the channels of a name, let `step` change `channel`, and keep what it returns, signed."""

    def remove(self, name: str, version: str) -> None:
        """Remove a version for good."""
