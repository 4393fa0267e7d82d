"""quantkit quantize: a fused artifact becomes an INT8 one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from quantkit.cli import options, show
from quantkit.errors import FAILED, PASSED, UsageError


@click.command("quantize")
@click.argument("artifact", required=False)
@options.model_option
@options.output_option
@click.option(
    "--mode",
    type=click.Choice(["dynamic", "static", "auto"]),
    show_default="static",
    help="Ranges at run time, calibrated, or the fastest choice per layer that keeps --target.",
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
    help="SmoothQuant before static quantization: alpha, off, or auto (least expected error).",
)
@click.option(
    "--weight-type",
    type=click.Choice(["auto", "int8", "uint8"]),
    show_default="auto",
    help="uint8: full range without VNNI too, where int8 needs --reduce-range; auto is int8.",
)
@click.option(
    "--rounding",
    type=click.Choice(["nearest", "gptq"]),
    show_default="nearest",
    help="Weights to the nearest level, or GPTQ on the calibration data.",
)
@click.option(
    "--bias-correction/--no-bias-correction",
    default=None,
    show_default="no-bias-correction",
    help="Move the mean output error on the calibration data into the bias.",
)
@click.option(
    "--channel-shift/--no-channel-shift",
    default=None,
    show_default="no-channel-shift",
    help="Centre channels on zero before they are rounded, where biases take it back for nothing.",
)
@click.option(
    "--outlier-channels",
    type=click.Choice(["auto", "off"]),
    show_default="off",
    help="Auto: multiply eight channels in float where they make a quarter or more of a layer's noise.",
)
@click.option(
    "--split-channels",
    type=click.Choice(["auto", "off"]),
    show_default="off",
    help="Auto: copy channels that stick out, where the layer before can make the copies.",
)
@click.option(
    "--symmetric/--no-symmetric",
    default=None,
    show_default="no-symmetric",
    help="Activation ranges around zero (zero point 128).",
)
@click.option(
    "--attention",
    type=click.Choice(["float", "qk"]),
    show_default="float",
    help="qk: queries and keys to INT8 too, which OpenVINO multiplies as such.",
)
@click.option(
    "--layout",
    type=click.Choice(["auto", "onnxruntime", "portable", "fused"]),
    show_default="auto",
    help="Operators the graph is written in: onnxruntime's fastest on a CPU, none of its own that were not there "
    "before, or as fused. Auto is onnxruntime, but fused with --attention qk.",
)
@click.option(
    "--target-isa",
    metavar="NAME",
    show_default="native",
    help="Instruction set the artifact is for; only this processor's are validated here.",
)
@click.option(
    "--keep-float",
    "--nodes-to-exclude",
    "keep_float",
    multiple=True,
    metavar="PATTERN",
    help="Layers that stay FP32, such as '*.attention.self.query' (repeatable).",
)
@click.option(
    "--target",
    type=float,
    show_default="0.9995",
    help="Auto: least ratio to the FP32 score on the selection; the gate's questions are others.",
)
@click.option(
    "--select",
    metavar="SET|FILE",
    help="Auto: labelled questions that candidates are judged on [default: more of the calibration file].",
)
@click.option("--select-samples", type=int, show_default="800", help="Auto: questions taken from --select.")
@click.option(
    "--gate-data",
    metavar="SET|FILE",
    help="Auto: the gate's questions, which the selection must not hold [default: the task's].",
)
@click.option(
    "--slack",
    type=float,
    show_default="0.05",
    help="Auto: share of the fastest passing candidate's cost that may be added for less damage.",
)
@click.option(
    "--min-int8-coverage",
    type=float,
    show_default="0.9",
    help="Auto: least share of MACs in integer kernels, as the gate will ask for.",
)
@click.option(
    "--budget", type=float, metavar="SECONDS", show_default="900", help="Auto: time for the whole search."
)
@click.option(
    "--confidence",
    type=float,
    show_default="0.95",
    help="Auto: one-sided confidence that the expected score keeps the target.",
)
@click.option(
    "--engine",
    type=click.Choice(["threads", "ray"]),
    show_default="threads",
    help="Where calibration runs: here, or on a Ray cluster; what is made is the same.",
)
@options.ray_address_option
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
    weight_type: str | None,
    rounding: str | None,
    bias_correction: bool | None,
    channel_shift: bool | None,
    outlier_channels: str | None,
    split_channels: str | None,
    symmetric: bool | None,
    attention: str | None,
    layout: str | None,
    target_isa: str | None,
    target: float | None,
    select: str | None,
    select_samples: int | None,
    gate_data: str | None,
    slack: float | None,
    min_int8_coverage: float | None,
    budget: float | None,
    confidence: float | None,
    keep_float: tuple[str, ...],
    engine: str | None,
    ray_address: str | None,
    seed: int | None,
    config: Path | None,
    save_config: Path | None,
    data_dir: Path | None,
    force: bool,
    as_json: bool,
) -> int:
    """Quantize a fused artifact to INT8.

    After quantizing, the model is loaded and the kernels that really run are read back. With --mode auto every
    group of layers gets the fastest form with which the whole keeps the target; the search, its page and the
    recipe stay in the artifact's reports. Exit code 3: the target was missed, and this is the best that was found.
    """
    source = options.chosen(artifact, model, "ARTIFACT")
    from quantkit.artifact import Artifact
    from quantkit.files import write_text
    from quantkit.recipe.load import dump_section, load_section
    from quantkit.recipe.settings import AutoSettings, QuantizeSettings
    from quantkit.records import SearchReport
    from quantkit.report.search_files import REPORT
    from quantkit.stages.quantize import quantize

    patterns = [{"pattern": pattern, "because": "asked for on the command line"} for pattern in keep_float]
    under = load_section(config, "quantize", QuantizeSettings) if config else {}
    search = {
        "target": target,
        "select": select,
        "select_samples": select_samples,
        "gate_data": gate_data,
        "slack": slack,
        "min_int8_coverage": min_int8_coverage,
        "budget": budget,
        "confidence": confidence,
    }
    settings = options.section(
        QuantizeSettings,
        {
            "mode": mode,
            "calib": calib,
            "calib_method": calib_method,
            "percentile": percentile,
            "calib_samples": calib_samples,
            "per_channel": per_channel,
            "symmetric": symmetric,
            "reduce_range": reduce_range,
            "weight_type": weight_type,
            "target_isa": target_isa,
            "smooth_quant": smooth_quant,
            "rounding": rounding,
            "bias_correction": bias_correction,
            "channel_shift": channel_shift,
            "outlier_channels": outlier_channels,
            "split_channels": split_channels,
            "attention": attention,
            "layout": layout,
            "keep_float": patterns or None,
            "auto": options.section(AutoSettings, search, under=under.get("auto")),
            "engine": engine,
            "ray_address": ray_address,
            "seed": seed,
        },
        under=under,
    )
    _require_auto(settings.mode, search)
    with show.working():
        quantized = quantize(Artifact.open(source), output, settings=settings, data_dir=data_dir, force=force)
    if save_config:
        write_text(save_config, dump_section(settings))
    show.print_artifact(quantized, as_json=as_json)
    if settings.mode != "auto":
        return PASSED
    report = SearchReport.read(quantized.report_path(REPORT))
    if not as_json:
        show.print_search(report, quantized)
    return PASSED if report.met else FAILED


def _require_auto(mode: str, search: Mapping[str, Any]) -> None:
    """Check that what only a search uses is given to a search.

    Raises:
        UsageError: naming the option that would not be used.
    """
    given = next((name for name, value in search.items() if value is not None), None)
    if mode != "auto" and given is not None:
        raise UsageError(
            f"--{given.replace('_', '-')}: is for --mode auto, and the mode is {mode}; leave it out, or change the mode"
        )
