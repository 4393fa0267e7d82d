"""quantkit quantize: a fused artifact becomes an INT8 one."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("quantize")
@click.argument("artifact", required=False)
@options.model_option
@options.output_option
@click.option(
    "--mode",
    type=click.Choice(["dynamic", "static"]),
    show_default="static",
    help="Activation ranges found at run time, or calibrated.",
)
@click.option(
    "--calib",
    metavar="squad|squad-train|FILE",
    help="Calibration questions: a shipped set, or a SQuAD-format file.",
)
@click.option(
    "--calib-method",
    type=click.Choice(["minmax", "percentile", "entropy", "mse"]),
    show_default="minmax",
    help="How ranges are taken from what was observed.",
)
@click.option("--percentile", type=float, show_default="99.99", help="For --calib-method percentile.")
@click.option(
    "--calib-samples", type=int, show_default="100", help="Questions taken from the calibration set."
)
@click.option(
    "--per-channel/--no-per-channel",
    default=None,
    show_default="per-channel",
    help="One weight scale per output.",
)
@click.option(
    "--reduce-range",
    type=click.Choice(["auto", "yes", "no"]),
    show_default="auto",
    help="7-bit weights, for x86 without VNNI; auto asks this processor.",
)
@click.option(
    "--smooth-quant",
    type=options.ALPHA,
    show_default="auto",
    help="SmoothQuant before static quantization: alpha, off, or auto (0.75).",
)
@click.option(
    "--keep-float",
    "--nodes-to-exclude",
    "keep_float",
    multiple=True,
    metavar="PATTERN",
    help="Layers that stay FP32, such as '*.attention.self.query' (repeatable).",
)
@click.option("--seed", type=int, show_default="0", help="Seed of the calibration sample.")
@click.option("--config", type=options.FILE, help="YAML file with these settings; options win over it.")
@click.option("--save-config", type=options.FILE, help="Write the settings that are used to this YAML file.")
@options.data_dir_option
@options.force_option
@options.json_option
def command(
    *,
    artifact: str | None,
    model: str | None,
    output: Path,
    mode: str | None,
    calib: str | None,
    calib_method: str | None,
    percentile: float | None,
    calib_samples: int | None,
    per_channel: bool | None,
    reduce_range: str | None,
    smooth_quant: str | float | None,
    keep_float: tuple[str, ...],
    seed: int | None,
    config: Path | None,
    save_config: Path | None,
    data_dir: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Quantize a fused artifact to INT8.

    After quantizing, the model is loaded and the kernels that really run are read back.
    """
    source = options.chosen(artifact, model, "ARTIFACT")
    from quantkit.artifact import Artifact
    from quantkit.files import write_text
    from quantkit.recipe.load import dump_section, load_section
    from quantkit.recipe.settings import QuantizeSettings
    from quantkit.stages.quantize import quantize

    patterns = [{"pattern": pattern, "because": "asked for on the command line"} for pattern in keep_float]
    settings = options.section(
        QuantizeSettings,
        {
            "mode": mode,
            "calib": calib,
            "calib_method": calib_method,
            "percentile": percentile,
            "calib_samples": calib_samples,
            "per_channel": per_channel,
            "reduce_range": reduce_range,
            "smooth_quant": smooth_quant,
            "keep_float": patterns or None,
            "seed": seed,
        },
        under=load_section(config, "quantize", QuantizeSettings) if config else None,
    )
    with show.working():
        quantized = quantize(Artifact.open(source), output, settings=settings, data_dir=data_dir, force=force)
    if save_config:
        write_text(save_config, dump_section(settings))
    show.print_artifact(quantized, as_json=as_json)
