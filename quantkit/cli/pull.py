"""quantkit pull: a published artifact, copied out and verified."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("pull")
@click.argument("reference", metavar="REF|PATH", type=options.ARTIFACT)
@options.registry_option
@options.output_options
def command(*, reference: str, registry: Path, output: options.Output) -> None:
    """Copy a published artifact out of a registry.

    REF is name:version. The copy is hashed and its evidence read before it appears.
    """
    from quantkit.registry import DirectoryRegistry, pull_folder

    path = Path(reference)
    if path.is_dir():
        artifact = pull_folder(path, output.path, force=output.force)
    else:
        artifact = DirectoryRegistry(registry).pull(reference, output.path, force=output.force)
    show.print_artifact(artifact, as_json=output.as_json)
