"""quantkit fuse: an exported artifact becomes a fused one."""

import click

from quantkit.cli import options, show


@click.command("fuse")
@options.argument("ARTIFACT")
@options.settings("FuseSettings", only=("embed_layer_norm", "allow_partial"))
@options.output_options
def command(*, artifact: str, given: options.Given, output: options.Output) -> None:
    """Fuse the graph of an exported artifact.

    How many fusions there must be follows from the model's config; a missing one is an error that names the
    node where it stopped.
    """
    from quantkit.artifact import Artifact
    from quantkit.recipe.settings import FuseSettings
    from quantkit.stages.fuse import fuse

    settings = given.build(FuseSettings)
    with show.working():
        fused = fuse(Artifact.open(artifact), output.path, settings=settings, force=output.force)
    show.print_artifact(fused, as_json=output.as_json)
