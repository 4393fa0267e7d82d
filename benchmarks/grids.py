"""What the weight grids cost in noise, against int8, over a model's linear layers; and what could make it less.

    python benchmarks/grids.py FUSED [--layers]
    python benchmarks/grids.py FUSED --calib FILE --data-dir DIR [--json FILE] [--svg FILE]

Without --calib noise is the squared step: rounding is noise of step² / 12, and the step of a column is that of
`Grid.scales`, so the ratio of the squared steps, summed over a layer's columns, is that of the noise. Nothing is run.

With --calib it is the squared error of rounding to nearest itself, each input weighed with its mean square on the
calibration data, of the weights as the static form with every technique rounds them: shifted, smoothed, less the
outlier channels. Beside the grids stand three things that could sharpen int8-pairs:

* `permuted`: inputs in the order that pairs the largest with the smallest, where the layer before makes that order for
  nothing: inner channels of the FFN, and values within a head. Elsewhere it is int8-pairs.
* `calibrated`: the limit counts the largest uint8 value that each channel had, its distance from zero MARGIN times as
  large, in place of 255. Other data can saturate it.
* `clipped`: of each column the scale, no larger than int8-pairs', that has the least error; pairs beyond are cut.

Printed are the mean over layers, the least and the largest, as a Markdown table; with --layers a row for each layer.
The numbers are the same on every machine.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from quantkit.artifact import Artifact
from quantkit.graph.channels import private_channels
from quantkit.graph.linear import Linear, linear_layers
from quantkit.graph.model import load_model
from quantkit.graph.pairs import pair_sums
from quantkit.quantization.affine import affine_uint8, quantize_matrix
from quantkit.quantization.assignment import section_choice
from quantkit.quantization.choice import grouped
from quantkit.quantization.grids import GRIDS, INT8, Grid
from quantkit.quantization.observe import observe_model
from quantkit.quantization.treatments import WHOLE_MODEL, settled, treat
from quantkit.recipe.settings import QuantizeSettings
from quantkit.tasks.calibration_set import CalibrationSet, select

PAIRED = "int8-pairs, paired by size"
PERMUTED, CALIBRATED, CLIPPED = "permuted", "calibrated", "clipped"
MARGIN = 1.25
FRACTIONS = np.linspace(0.6, 1.0, 21)
_LARGEST = np.iinfo(np.int16).max
PAIRS = GRIDS["int8-pairs"]


def main() -> None:
    """Print a Markdown table, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifact", type=Path, help="fused FP32 artifact")
    parser.add_argument("--layers", action="store_true", help="a row for each layer, too")
    parser.add_argument("--calib", help="calibration set, or a file")
    parser.add_argument("--questions", type=int, default=200, help="of the calibration set")
    parser.add_argument("--data-dir", type=Path, help="where datasets are")
    parser.add_argument("--json", type=Path, help="write the noise of every layer")
    parser.add_argument("--svg", type=Path, help="draw it")
    given = parser.parse_args()
    artifact = Artifact.open(given.artifact)
    model = load_model(artifact.model_path)
    if given.calib is None:
        found = {layer.name: relative_steps(layer.matrix()) for layer in linear_layers(model.graph)}
    else:
        subjects = observed(
            artifact, model, select(given.calib, artifact.task, given.questions, given.data_dir)
        )
        found = {subject.layer.name: relative_errors(subject) for subject in subjects}
    _print(found, layers=given.layers)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if given.svg:
        given.svg.write_text(drawn(found))


def relative_steps(matrix: np.ndarray) -> dict[str, float]:
    """Return grid → squared steps of a weight [inputs, outputs] on it, over those of int8."""
    found = {name: _steps(grid, matrix) / _steps(INT8, matrix) for name, grid in GRIDS.items()}
    order = by_size(np.abs(matrix).max(axis=1))
    found[PAIRED] = _steps(PAIRS, matrix[order]) / _steps(INT8, matrix)
    return found


def _steps(grid: Grid, matrix: np.ndarray) -> float:
    return float(np.square(grid.scales(matrix), dtype=np.float64).sum())


def by_size(sizes: np.ndarray) -> np.ndarray:
    """Return the order that puts the smallest beside the largest, the next beside the next; an odd one at the end."""
    ranked = np.argsort(sizes, kind="stable")
    half = len(ranked) // 2
    order = np.empty_like(ranked)
    order[0 : 2 * half : 2], order[1 : 2 * half : 2] = ranked[:half], ranked[::-1][:half]
    order[2 * half :] = ranked[half : len(ranked) - half]
    return order


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A layer as the static form rounds it.

    Attributes:
        layer: of the float model.
        matrix: its weight as it is rounded, float32 [inputs, outputs].
        squares: the mean square of each input, float64 [inputs].
        largest: the largest uint8 value of each input, MARGIN times as far from zero as was seen, float64 [inputs].
        blocks: inputs in runs of this length can change places within a run for nothing; 0 for none.
    """

    layer: Linear
    matrix: np.ndarray
    squares: np.ndarray
    largest: np.ndarray
    blocks: int


def observed(artifact: Artifact, model: ir.Model, calibration_set: CalibrationSet) -> Iterator[Subject]:
    """Yield every linear layer as the static form with every technique rounds it."""
    settings = QuantizeSettings(
        mode="static",
        rounding="gptq",
        bias_correction=True,
        channel_shift=True,
        outlier_channels="auto",
        calib="-",
    )
    layers = linear_layers(model.graph)
    choice = section_choice(settings, PAIRS)
    observations = observe_model(artifact, model, calibration_set, detail=choice.detail)
    treated = treat(model, observations, [kind for kind in WHOLE_MODEL if getattr(settings, kind.setting)])
    assignment = settled(layers, dict.fromkeys((layer.name for layer in layers), choice), treated.statistics)
    for (tensor, own), readers in grouped(layers, assignment).items():
        reading = treated.reading(tensor, readers, own)
        inputs = reading.inputs(own)
        step, zero = affine_uint8(inputs.bounds.low, inputs.bounds.high)
        largest = np.clip(np.ceil(MARGIN * np.maximum(inputs.seen.high, 0) / step) + zero, zero, 255)
        for layer in readers:
            yield Subject(
                layer=layer,
                matrix=reading.matrix(layer.matrix()),
                squares=inputs.seen.square,
                largest=largest.astype(np.float64),
                blocks=_free_blocks(layer, readers, artifact),
            )


def _free_blocks(layer: Linear, readers: list[Linear], artifact: Artifact) -> int:
    if private_channels(layer.activation, [reader.node for reader in readers]) is not None:
        return layer.shape[0]
    producer = layer.activation.producer()
    attention = producer is not None and producer.op_type in ("MultiHeadAttention", "Attention")
    return layer.shape[0] // int(artifact.config["num_attention_heads"]) if attention else 0


def relative_errors(subject: Subject) -> dict[str, float]:
    """Return form → squared error of rounding a layer to nearest, over that of int8."""
    matrix, squares = subject.matrix, subject.squares
    expected = error(matrix, squares, INT8.scales(matrix), INT8).sum()
    found = {
        name: error(matrix, squares, grid.scales(matrix), grid).sum() / expected
        for name, grid in GRIDS.items()
        if name != "uint8"
    }
    order = free_order(subject)
    moved = matrix[order]
    found[PERMUTED] = error(moved, squares[order], PAIRS.scales(moved), PAIRS).sum() / expected
    positive, negative = pair_sums(subject.largest[:, None] * matrix)
    sums = np.maximum(positive.max(axis=0), -negative.min(axis=0))
    scales = np.maximum(INT8.scales(matrix), sums / _LARGEST).astype(np.float32)
    found[CALIBRATED] = error(matrix, squares, scales, INT8).sum() / expected
    whole = PAIRS.scales(matrix)
    tried = [error(matrix, squares, (whole * part).astype(np.float32), PAIRS) for part in FRACTIONS]
    found[CLIPPED] = np.min(tried, axis=0).sum() / expected
    return {name: float(value) for name, value in found.items()}


def error(matrix: np.ndarray, squares: np.ndarray, scales: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the expected squared error of each column, float64 [outputs], of inputs that are not correlated."""
    missed = matrix - quantize_matrix(matrix, scales, grid).dequantize()
    found: np.ndarray = squares @ np.square(missed, dtype=np.float64)
    return found


def free_order(subject: Subject) -> np.ndarray:
    """Return the order in which inputs are paired by size, as far as it is free."""
    inputs, block = len(subject.matrix), subject.blocks
    if not block:
        return np.arange(inputs)
    sizes = (np.abs(subject.matrix) / INT8.scales(subject.matrix)).max(axis=1)
    starts = range(0, inputs, block)
    return np.concatenate([start + by_size(sizes[start : start + block]) for start in starts])


def _print(found: dict[str, dict[str, float]], *, layers: bool) -> None:
    names = list(next(iter(found.values())))
    print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    values = np.array([[noise[name] for name in names] for noise in found.values()])
    for label, row in (
        (f"mean of {len(found)} layers", values.mean(axis=0)),
        ("least", values.min(axis=0)),
        ("largest", values.max(axis=0)),
    ):
        print(_row(label, row))
    if layers:
        for name, row in zip(found, values, strict=True):
            print(_row(name, row))


def _row(label: str, numbers: np.ndarray) -> str:
    return f"| {label} | {' | '.join(f'{number:.2f}' for number in numbers)} |"


def drawn(found: dict[str, dict[str, float]]) -> str:
    """Return a dot for every layer and form, as SVG: layers by depth, forms by colour."""
    import io

    from quantkit.report.figures import drawing as look

    marks: dict[str, tuple[str, str]] = {
        "int7": ("s", look.MUTED),
        "int8-pairs": ("o", look.ACCENT),
        PERMUTED: ("x", look.INK),
        CLIPPED: ("+", look.SOFT),
        CALIBRATED: ("D", look.BLUE),
        "int8": ("|", look.INK),
    }
    names = [name for name in marks if name in next(iter(found.values()))]
    shorten: Callable[[str], str] = lambda name: (  # noqa: E731
        name.replace("bert.encoder.layer.", "").replace("attention.", "att.")
    )
    with look.drawing():
        figure = look.new_figure(1.2 + 0.17 * len(found))
        axes = figure.add_subplot()
        rows = np.arange(len(found))[::-1]
        for name in names:
            marker, color = marks[name]
            values = [noise[name] for noise in found.values()]
            axes.plot(values, rows, marker, color=color, label=name, markersize=4, fillstyle="none")
        axes.set_yticks(rows, [shorten(name) for name in found], fontsize=6)
        axes.set_xlabel("squared error of rounding, int8 = 1")
        axes.set_xlim(left=0)
        axes.grid(axis="x")
        axes.set_ylim(-0.7, len(found) - 0.3)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=8)
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return content.getvalue()


if __name__ == "__main__":
    main()
