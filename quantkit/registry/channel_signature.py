"""The signature of a record of channels: who moved them last, where the policy of the registry has signers.

What is signed is a folder with the one file `<name>/channels.json`, the record without its signature, so that the
record of one name cannot stand for another's. It does not say when: an older record of the same name, signed by the
same key, is a good one too.
"""

import tempfile
from pathlib import Path

from quantkit.artifact.manifest import SIGNATURE
from quantkit.errors import RegistryError
from quantkit.files import canonical_json
from quantkit.registry.channels import Channels
from quantkit.registry.policy import POLICY, RegistryPolicy
from quantkit.registry.signing import Signer, require_one_of


def signed(
    channels: Channels, name: str, signer: Signer | None, policy: RegistryPolicy, place: str
) -> Channels:
    """Return the channels with the signature that the policy asks for, or that the signer gives unasked.

    Args:
        channels: changed, without a signature.
        name: under which the versions are published.
        signer: who signs; None: nobody.
        policy: of the registry.
        place: what messages name.

    Raises:
        RegistryError: the policy has signers, and nobody signs or none of them.
        UsageError: the key cannot sign.
    """
    if signer is None:
        if policy.signers:
            raise RegistryError(
                f"{place}: is to be signed by one of the signers of {POLICY}; sign with --sign-key"
            )
        return channels
    with tempfile.TemporaryDirectory(prefix="quantkit-") as above:
        folder = _folder(channels, name, Path(above))
        signer.sign(folder, f"{name}-channels")
        signature = (folder / SIGNATURE).read_text(encoding="utf-8")
    found = channels.model_copy(update={"signature": signature})
    require_signed(found, name, policy, place)
    return found


def require_signed(channels: Channels, name: str, policy: RegistryPolicy, place: str) -> None:
    """Check that one of the policy's signers signed the channels of a name; without signers everything is right.

    Args:
        channels: as they were read.
        name: under which the versions are published.
        policy: of the registry.
        place: what messages name.

    Raises:
        RegistryError: none of them did.
        UsageError: model-signing is not installed.
    """
    if not policy.signers:
        return
    if channels.signature is None:
        raise RegistryError(
            f"{place}: is not signed, and {POLICY} has signers; remove it, and promote again with --sign-key"
        )
    with tempfile.TemporaryDirectory(prefix="quantkit-") as above:
        folder = _folder(channels, name, Path(above))
        (folder / SIGNATURE).write_text(channels.signature, encoding="utf-8")
        try:
            require_one_of(folder, policy.signers)
        except RegistryError as error:
            raise RegistryError(str(error).replace(str(folder), place)) from None


def _folder(channels: Channels, name: str, above: Path) -> Path:
    """Write what is signed, and return its folder."""
    folder = above / "channels"
    (folder / name).mkdir(parents=True)
    unsigned = channels.model_copy(update={"signature": None})
    (folder / name / "channels.json").write_bytes(canonical_json(unsigned.as_json()))
    return folder
