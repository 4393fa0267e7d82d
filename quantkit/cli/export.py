"""quantkit export: a checkpoint becomes a fused FP32 artifact."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("export")
@click.argument("checkpoint", required=False)
@options.model_option
@options.output_option
@click.option(
    "--task",
    type=click.Choice(list(options.TASKS)),
    default="squad",
    show_default=True,
    help="What the model does.",
)
@click.option("--opset", type=int, show_default="17", help="ONNX opset, 14 to 17.")
@click.option(
    "--atol", type=float, show_default="0.0001", help="Largest logit difference to PyTorch accepted."
)
@click.option(
    "--external-data",
    type=click.Choice(["auto", "yes", "no"]),
    show_default="auto",
    help="Weights in model.onnx.data; auto: above 2 GB.",
)
@click.option(
    "--allow-pickle", is_flag=True, help="Load pytorch_model.bin if need be; unpickling can run code."
)
@click.option("--revision", help="Revision of a Hugging Face checkpoint.")
@click.option("--no-fuse", is_flag=True, help="Keep the graph as it was exported.")
@click.option("--allow-partial-fusion", is_flag=True, help="A missing fusion is a warning, not an error.")
@options.force_option
@options.json_option
def command(
    *,
    checkpoint: str | None,
    model: str | None,
    output: Path,
    task: str,
    opset: int | None,
    atol: float | None,
    external_data: str | None,
    allow_pickle: bool,
    revision: str | None,
    no_fuse: bool,
    allow_partial_fusion: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Export a checkpoint to a fused FP32 ONNX artifact.

    CHECKPOINT is a folder, a Hugging Face id, or `quickstart`, the small model that ships with quantkit. The
    graph is compared with PyTorch on several shapes and masks, and must agree.
    """
    source = options.chosen(checkpoint, model, "CHECKPOINT")
    from quantkit.pipeline.fusing import ExportRequest, export_and_fuse
    from quantkit.recipe.places import QUICKSTART
    from quantkit.recipe.settings import ExportSettings, FuseSettings
    from quantkit.shipped import quickstart_model

    settings = options.section(
        ExportSettings,
        {
            "opset": opset,
            "atol": atol,
            "external_data": external_data,
            "allow_pickle": allow_pickle,
            "revision": revision,
        },
    )
    request = ExportRequest(
        checkpoint=str(quickstart_model()) if source == QUICKSTART else source,
        task=options.TASKS[task],
        export=settings,
        fuse=FuseSettings(enabled=not no_fuse, allow_partial=allow_partial_fusion),
    )
    with show.working():
        artifact = export_and_fuse(request, output, force=force)
    show.print_artifact(artifact, as_json=as_json)
