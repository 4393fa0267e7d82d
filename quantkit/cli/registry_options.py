"""Options of the commands that meet a registry: where it is, and what is expected of what it gives."""

from pathlib import Path

import click

from quantkit.cli.options import FILE, Decorator

registry_option: Decorator = click.option(
    "--registry",
    metavar="DIR|oci://HOST/PATH",
    envvar="QUANTKIT_REGISTRY",
    default="registry",
    show_default="registry, or $QUANTKIT_REGISTRY",
    help="Folder of the registry, or the address of an OCI registry.",
)
insecure_option: Decorator = click.option(
    "--insecure", is_flag=True, help="Allow plain HTTP to an OCI registry on another machine."
)
digest_option: Decorator = click.option(
    "--digest", metavar="SHA256", help="Digest that the artifact must have, as publish printed it."
)
require_signer_option: Decorator = click.option(
    "--require-signer",
    metavar="PEM",
    type=FILE,
    help="Public key, or root certificate, that the artifact must be signed with.",
)
sign_key_option: Decorator = click.option(
    "--sign-key",
    metavar="PEM",
    type=FILE,
    help="Sign with this private key (EC); its password is $QUANTKIT_SIGN_PASSWORD.",
)
sign_cert_option: Decorator = click.option(
    "--sign-cert", metavar="PEM", type=FILE, help="Certificate of the key that signs."
)
sign_chain_option: Decorator = click.option(
    "--sign-chain",
    metavar="PEM",
    type=FILE,
    multiple=True,
    help="Certificates between that one and the root; can be repeated.",
)


def is_folder(reference: str) -> bool:
    """Return whether REF|PATH is a folder on this machine."""
    return Path(reference).is_dir()
