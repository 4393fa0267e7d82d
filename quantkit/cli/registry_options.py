"""Options of the commands that meet a registry: where it is, what is expected of it, and who signs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantkit.cli import options
from quantkit.cli.options.places import Named
from quantkit.cli.options.table import OPTIONS

if TYPE_CHECKING:
    from quantkit.recipe.settings import PublishSettings
    from quantkit.registry.expected import Expected
    from quantkit.registry.hub.location import HubLocation
    from quantkit.registry.hub.push import Pushed
    from quantkit.registry.policy import RegistryPolicy
    from quantkit.registry.protocol import Pinned, Registry
    from quantkit.registry.signing import Signer

REGISTRY = Named("registry", "dir")
_SETTINGS = {option.parameter: option for option in OPTIONS["PublishSettings"]}


@dataclass(frozen=True, kw_only=True, slots=True)
class At:
    """Where a registry is, and how it may be reached.

    Attributes:
        registry: a folder, or `oci://host[:port]/path`.
        insecure: plain HTTP to another machine is allowed.
        policy: a policy.yaml that an OCI registry, or a folder that was pulled, is held to.
    """

    registry: str
    insecure: bool
    policy: Path | None

    def find(self, reference: str) -> "tuple[Registry, str]":
        """Return the registry of a reference, and the reference within it.

        Raises:
            RegistryError: either is not of its form.
        """
        from quantkit.registry.opening import find_registry

        return find_registry(reference, self.registry, insecure=self.insecure, policy=self.policy)

    def of_copy(self) -> "RegistryPolicy | None":
        """Return the policy that a folder which was pulled is held to; None: the one that let it in.

        Raises:
            RegistryError: the file does not fit.
        """
        from quantkit.registry.policy import RegistryPolicy

        return RegistryPolicy.read(self.policy) if self.policy is not None else None

    def names(self, name: str | None) -> "tuple[Registry, list[str]]":
        """Return the registry, and the name in it that is meant or all of its names.

        Raises:
            RegistryError: the name is no word, nothing is published under it, or names are not listed.
        """
        from quantkit.registry.opening import find_names

        return find_names(name, self.registry, insecure=self.insecure, policy=self.policy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is asked of a published artifact besides that it is whole.

    Attributes:
        digest: its digest, as it was written.
        require_signer: a public key or root certificate.
    """

    digest: str | None
    require_signer: Path | None

    def expected(self) -> "Expected":
        """Return it as the registry takes it.

        Raises:
            UsageError: the digest is none.
        """
        from quantkit.registry.expected import Expected

        return Expected.parse(digest=self.digest, signer=self.require_signer)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """With what something is signed.

    Attributes:
        sign_key: the private key; None when nothing is signed.
        sign_cert: the certificate of that key.
        sign_chain: the certificates between that one and the root.
    """

    sign_key: Path | None
    sign_cert: Path | None
    sign_chain: tuple[Path, ...]

    def signer(self) -> "Signer | None":
        """Return who signs; None when nobody does.

        Raises:
            UsageError: there is a certificate and no key, or a chain and no certificate.
        """
        from quantkit.errors import UsageError
        from quantkit.registry.signing import Signer

        if self.sign_key is not None:
            return Signer(key=self.sign_key, certificate=self.sign_cert, chain=self.sign_chain)
        if self.sign_cert or self.sign_chain:
            raise UsageError(
                "--sign-cert, --sign-chain: nothing is signed without a key; give it with --sign-key"
            )
        return None


def folder_of(reference: str) -> Path:
    """Return the folder that a reference means, when it is there; hf://owner/name is downloaded first.

    Raises:
        RegistryError: it is no model of the Hub, or the Hub does not answer.
        UsageError: `huggingface_hub` is not installed.
    """
    from quantkit.registry.hub.location import SCHEME, HubLocation

    if not reference.startswith(SCHEME):
        return Path(reference)
    from quantkit.registry.hub.fetch import fetch

    return fetch(HubLocation.parse(reference))


@dataclass(frozen=True, kw_only=True, slots=True)
class Publishing(Signing):
    """How a release is published: what it is signed with, and why it may pass over the policy.

    Attributes:
        override: the reason to pass over the registry's policy; None to keep it.
        push: where the release is uploaded to, hf://owner/name[:branch]; None: nowhere.
    """

    override: str | None
    push: str | None

    def laid_out(self, settings: "PublishSettings") -> "PublishSettings":
        """Return the settings; what is uploaded to the Hub has its files."""
        return settings if self.push is None else settings.model_copy(update={"layout": "hub"})

    def destination(self) -> "HubLocation | None":
        """Return where the release is uploaded to.

        Raises:
            RegistryError: it is no address of the Hub, or a commit, which nothing can be added to.
        """
        from quantkit.registry.hub.location import HubLocation

        if self.push is None:
            return None
        location = HubLocation.parse(self.push)
        location.require_branch()
        return location

    def upload(
        self, published: "Path | Pinned", destination: "HubLocation | None", policy: "RegistryPolicy"
    ) -> "Pushed | None":
        """Upload a published folder, when that is asked for.

        Raises:
            RegistryError: it does not verify, or the Hub refuses.
        """
        from quantkit.registry.hub.push import push

        if destination is None or not isinstance(published, Path):
            return None
        return push(published, destination, policy=policy)


at_options = options.grouped(
    "at",
    At,
    click.option(
        "--registry",
        type=REGISTRY,
        metavar="DIR|oci://HOST/PATH",
        envvar="QUANTKIT_REGISTRY",
        default=_SETTINGS["registry"].default,
        help=f"{_SETTINGS['registry'].help}  "
        f"[default: {_SETTINGS['registry'].default}, or $QUANTKIT_REGISTRY]",
    ),
    _SETTINGS["insecure"].decorate,
    click.option(
        "--policy",
        type=options.FILE,
        metavar="FILE",
        envvar="QUANTKIT_POLICY",
        help=f"{_SETTINGS['policy'].help}  [default: $QUANTKIT_POLICY]",
    ),
)
"""Adds --registry, --insecure and --policy; the function gets an `At` as `at`."""

asked_options = options.grouped(
    "asked",
    Asked,
    click.option(
        "--digest", metavar="SHA256", help="Digest that the artifact must have, as publish printed it."
    ),
    click.option(
        "--require-signer",
        metavar="PEM",
        type=options.FILE,
        help="Public key, or root certificate, that the artifact must be signed with; needs quantkit[sign].",
    ),
)
"""Adds --digest and --require-signer; the function gets an `Asked` as `asked`."""

_SIGNING = (
    click.option(
        "--sign-key",
        metavar="PEM",
        type=options.FILE,
        help="Sign with this private key (EC); its password is $QUANTKIT_SIGN_PASSWORD; needs quantkit[sign].",
    ),
    click.option("--sign-cert", metavar="PEM", type=options.FILE, help="Certificate of the key that signs."),
    click.option(
        "--sign-chain",
        metavar="PEM",
        type=options.FILE,
        multiple=True,
        help="Certificates between that one and the root (repeatable).",
    ),
)

signing_options = options.grouped("signing", Signing, *_SIGNING)
"""Adds --sign-key, --sign-cert and --sign-chain; the function gets a `Signing` as `signing`."""

publishing_options = options.grouped(
    "publishing",
    Publishing,
    *_SIGNING,
    click.option(
        "--override",
        metavar="REASON",
        help="Pass over the registry's policy, where it allows that; the reason is published.",
    ),
    click.option(
        "--push",
        metavar="hf://OWNER/NAME",
        help="Upload the release to the Hugging Face Hub; hf://owner/name:branch too. Means --layout hub, "
        "needs quantkit[hub].",
    ),
)
"""Adds --sign-key, --sign-cert, --sign-chain, --override and --push; the function gets `publishing`."""
