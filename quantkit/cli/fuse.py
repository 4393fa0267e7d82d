"""quantkit fuse: an exported artifact becomes a fused one."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("fuse")
@click.argument("artifact", required=False)
@options.model_option
@options.output_option
@click.option(
    "--embed-layer-norm/--no-embed-layer-norm",
    default=None,
    show_default="embed-layer-norm",
    help="Fuse EmbedLayerNormalization where the model allows it.",
)
@click.option("--allow-partial-fusion", is_flag=True, help="A missing fusion is a warning, not an error.")
@options.force_option
@options.json_option
def command(
    *,
    artifact: str | None,
    model: str | None,
    output: Path,
    embed_layer_norm: bool | None,
    allow_partial_fusion: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Fuse the graph of an exported artifact.

    How many fusions there must be follows from the model's config; a missing one is an error that names the
    node where it stopped.
    """
    source = options.chosen(artifact, model, "ARTIFACT")
    from quantkit.artifact import Artifact
    from quantkit.recipe.settings import FuseSettings
    from quantkit.stages.fuse import fuse

    settings = options.section(
        FuseSettings, {"embed_layer_norm": embed_layer_norm, "allow_partial": allow_partial_fusion}
    )
    with show.working():
        fused = fuse(Artifact.open(source), output, settings=settings, force=force)
    show.print_artifact(fused, as_json=as_json)
