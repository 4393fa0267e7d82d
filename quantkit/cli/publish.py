"""quantkit publish: a gated artifact goes to the registry."""

from pathlib import Path

import click

from quantkit.cli import options, registry_options, show


@click.command("publish")
@click.argument("artifact")
@click.argument("registry_place", metavar="[REGISTRY]", required=False)
@click.option("--name", required=True, help="Name in the registry, such as minilm-squad.")
@click.option("--version", required=True, help="Version, such as 1.0.0; never overwritten.")
@registry_options.registry_option
@registry_options.sign_key_option
@registry_options.sign_cert_option
@registry_options.sign_chain_option
@registry_options.insecure_option
@options.json_option
def command(
    *,
    artifact: str,
    registry_place: str | None,
    name: str,
    version: str,
    registry: str,
    sign_key: Path | None,
    sign_cert: Path | None,
    sign_chain: tuple[Path, ...],
    insecure: bool,
    as_json: bool,
) -> None:
    """Publish an artifact that passed its gate.

    Refused (exit code 3) without a passing gate report for exactly these bytes. Publishing the same bytes
    under the same version again is done already, and says so. REGISTRY is a folder or oci://host/path.
    """
    from quantkit.artifact import Artifact
    from quantkit.errors import UsageError
    from quantkit.recipe.settings import PublishSettings
    from quantkit.registry.signing import Signer
    from quantkit.stages.publish import already_published, publish

    given = {"registry": registry_place or registry, "name": name, "version": version, "insecure": insecure}
    settings = options.section(PublishSettings, given)
    if sign_key is None and (sign_cert or sign_chain):
        raise UsageError(
            "--sign-cert, --sign-chain: nothing is signed without a key; give it with --sign-key"
        )
    signer = Signer(key=sign_key, certificate=sign_cert, chain=sign_chain) if sign_key else None
    opened = Artifact.open(artifact)
    before = already_published(opened, settings=settings)
    place = publish(opened, settings=settings, signer=signer)
    if as_json:
        show.print_json(
            {
                "schema": "quantkit/publication/1",
                "reference": f"{name}:{version}",
                "registry": settings.registry,
                "path": str(place),
                "artifact": opened.digest,
                "signed": signer is not None,
                "already_published": before,
            }
        )
        return
    show.print_facts(
        "",
        [
            ("published", f"{name}:{version}" + (" (already)" if before else "")),
            ("digest", opened.digest),
            ("path", str(place)),
            *([("signed with", str(sign_key))] if signer else []),
        ],
    )
