"""quantkit pull: a published artifact, copied out and verified."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("pull")
@click.argument("reference", metavar="REF|PATH")
@options.output_option
@options.registry_option
@options.force_option
@options.json_option
def command(*, reference: str, output: Path, registry: Path, force: bool, as_json: bool) -> None:
    """Copy a published artifact out of a registry.

    REF is name:version. The copy is hashed and its evidence read before it appears.
    """
    from quantkit.registry import DirectoryRegistry, pull_folder

    path = Path(reference)
    if path.is_dir():
        artifact = pull_folder(path, output, force=force)
    else:
        artifact = DirectoryRegistry(registry).pull(reference, output, force=force)
    show.print_artifact(artifact, as_json=as_json)
