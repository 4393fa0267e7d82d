"""quantkit export: a checkpoint becomes a fused FP32 artifact."""

import click

from quantkit.cli import options, show


@click.command("export")
@options.argument("CHECKPOINT", kind=options.CHECKPOINT)
@options.settings("Recipe", only=("task",))
@options.settings("ExportSettings")
@options.settings("FuseSettings", only=("enabled", "allow_partial"))
@options.output_options
def command(*, checkpoint: str, given: options.Given, output: options.Output) -> None:
    """Export a checkpoint to a fused FP32 ONNX artifact.

    CHECKPOINT is a folder, a Hugging Face id, or `quickstart`, the small model that ships with quantkit. The
    graph is compared with PyTorch on several shapes and masks, and must agree.
    """
    from quantkit.pipeline.fusing import ExportRequest, export_and_fuse
    from quantkit.recipe.places import checkpoint_named
    from quantkit.recipe.settings import ExportSettings, FuseSettings, Recipe

    request = ExportRequest(
        checkpoint=checkpoint_named(checkpoint),
        task=given.one(Recipe, "task"),
        export=given.build(ExportSettings),
        fuse=given.build(FuseSettings),
    )
    with show.working():
        artifact = export_and_fuse(request, output.path, force=output.force)
    show.print_artifact(artifact, as_json=output.as_json)
