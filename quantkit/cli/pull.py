"""quantkit pull: a published artifact, copied out and verified."""

from pathlib import Path

import click

from quantkit.cli import options, registry_options, show


@click.command("pull")
@click.argument("reference", metavar="REF|PATH")
@options.output_option
@registry_options.digest_option
@registry_options.require_signer_option
@registry_options.registry_option
@registry_options.insecure_option
@options.force_option
@options.json_option
def command(
    *,
    reference: str,
    output: Path,
    digest: str | None,
    require_signer: Path | None,
    registry: str,
    insecure: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Copy a published artifact out of a registry.

    REF is name:version, name:channel, or oci://host/path/name:version. The copy is hashed, its evidence read,
    and its digest and signature checked when asked for, before it appears.
    """
    from quantkit.registry import pull_folder
    from quantkit.registry.expected import Expected
    from quantkit.registry.opening import find_registry

    expected = Expected.parse(digest=digest, signer=require_signer)
    if registry_options.is_folder(reference):
        artifact = pull_folder(Path(reference), output, force=force, expected=expected)
    else:
        place, within = find_registry(reference, registry, insecure=insecure)
        artifact = place.pull(within, output, force=force, expected=expected)
    show.print_artifact(artifact, as_json=as_json)
