"""An assignment of choices to layers, written into the graph.

Order: shift · split · smooth · ranges · weights rounded · biases corrected · outliers apart · rewritten, scheme by
scheme.

Layers that read the same tensor and have the same choice are one group: they share smoothing factors, outlier channels,
the range and the QuantizeLinear.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from quantkit.files import digest_of, sha256_bytes
from quantkit.graph.linear import Linear, linear_layers
from quantkit.quantization.affine import QuantizedWeight, WeightType
from quantkit.quantization.choice import Choice
from quantkit.quantization.inputs import Reading
from quantkit.quantization.observe.calibration import Range, calibrate
from quantkit.quantization.observe.evidence import Evidence
from quantkit.quantization.observe.statistics import Detail
from quantkit.quantization.rounding import Problem
from quantkit.quantization.treatments.outliers import multiply_outliers, without_rows
from quantkit.quantization.treatments.shift import shift_channels
from quantkit.quantization.treatments.smooth import smooth
from quantkit.quantization.treatments.split import split_channels
from quantkit.quantization.write.bias import correct_bias
from quantkit.quantization.write.blockwise import quantize_blockwise
from quantkit.quantization.write.dynamic import quantize_dynamic
from quantkit.quantization.write.static import quantize_static

Assignment = Mapping[str, Choice]
"""Layer name → choice, for every linear layer of the graph."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """What all weights have in common."""

    per_channel: bool
    weight_type: WeightType


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    """Layers that read one tensor and have one choice, and how they read it; None when nothing was calibrated."""

    layers: tuple[Linear, ...]
    choice: Choice
    reading: Reading | None


def apply(model: ir.Model, assignment: Assignment, evidence: Evidence, grid: Grid) -> dict[str, Range]:
    """Rewrite the linear layers of `model` in place.

    Args:
        model: the FP32 model.
        assignment: a choice for every linear layer.
        evidence: with statistics of every tensor that a calibrated choice reads, with the detail that it needs.
        grid: the weights' grid.

    Returns:
        Layer name → range of its input, for the static ones.

    Raises:
        RecipeError: a rounding needs calibration data and there is none.
        QuantizationError: a weight is NaN or infinite.
    """
    shift_channels(model, evidence.shifts)
    groups = _smoothed_groups(model, assignment, evidence)
    ranges = _ranges(model, groups, evidence)
    weights: dict[str, QuantizedWeight] = {}
    for place, group in enumerate(groups):
        if group.choice.scheme in ("static", "dynamic"):
            weights |= _rounded(model.graph, group, ranges.get(place), evidence, grid)
    found: dict[str, Range] = {}
    for place, group in enumerate(groups):
        if group.choice.scheme == "static":
            bounds = ranges[place]
            tensor = group.layers[0].activation.name or ""
            assert group.reading is not None
            if group.reading.outliers.size:
                multiply_outliers(model.graph, group.layers, group.reading.outliers)
            quantize_static(model, group.layers, {tensor: (bounds.low, bounds.high)}, weights)
            found |= {layer.name: bounds for layer in group.layers}
        elif group.choice.scheme == "dynamic":
            quantize_dynamic(model, group.layers, weights)
        elif group.choice.scheme == "blockwise":
            quantize_blockwise(model, group.layers, group.choice.block_size)
    return found


def grouped(layers: Sequence[Linear], assignment: Assignment) -> dict[tuple[str, Choice], list[Linear]]:
    """Return (tensor, choice) → the layers that read that tensor by that choice, in graph order."""
    found: dict[tuple[str, Choice], list[Linear]] = defaultdict(list)
    for layer in layers:
        found[layer.activation.name or "", assignment[layer.name]].append(layer)
    return dict(found)


def _smoothed_groups(model: ir.Model, assignment: Assignment, evidence: Evidence) -> list[_Group]:
    """Split and smooth the graph, and return its groups as they are afterwards."""
    before = grouped(linear_layers(model.graph), assignment)
    readings = {
        (tensor, choice): evidence.reading(tensor, layers, choice) if choice.calibrated else None
        for (tensor, choice), layers in before.items()
    }
    for (tensor, choice), reading in readings.items():
        layers = before[tensor, choice]
        if reading is not None and reading.split is not None:
            split_channels(model.graph, layers, reading.split)
        if reading is not None and reading.factors is not None:
            smooth(model, layers, {layers[0].activation.name or "": reading.factors})
    # That changed the weights, and for some layers the tensor they read.
    after = {layer.name: layer for layer in linear_layers(model.graph)}
    return [
        _Group(
            layers=tuple(after[layer.name] for layer in layers),
            choice=choice,
            reading=readings[tensor, choice],
        )
        for (tensor, choice), layers in before.items()
    ]


def _ranges(model: ir.Model, groups: Sequence[_Group], evidence: Evidence) -> dict[int, Range]:
    """Return place of a static group → the range of its input, smoothed."""
    found: dict[int, Range] = {}
    by_histogram: dict[tuple[str, float], list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        if group.choice.scheme != "static":
            continue
        assert group.reading is not None
        if group.choice.method == "minmax":
            found[place] = group.reading.extremes()
        else:
            by_histogram[group.choice.method, group.choice.percentile].append(place)
    # Smoothing any group moves every tensor in its last bits: all of it is part of the key.
    smoothed = [
        [[layer.name for layer in group.layers], sha256_bytes(group.reading.factors.tobytes())]
        for group in groups
        if group.reading is not None and group.reading.factors is not None
    ]
    for (method, percentile), places in by_histogram.items():
        assert evidence.run is not None
        run = evidence.run.by_method(method, percentile)
        tensors = [groups[place].layers[0].activation for place in places]
        names = [layer.name for place in places for layer in groups[place].layers]
        key = digest_of([evidence.key, method, percentile, names, smoothed])
        ranges = calibrate(model, tensors, run, key=key)
        found |= {place: ranges[tensor.name or ""] for place, tensor in zip(places, tensors, strict=True)}
    return {
        place: bounds.around_zero() if groups[place].choice.symmetric else bounds
        for place, bounds in found.items()
    }


def _rounded(
    graph: ir.Graph, group: _Group, bounds: Range | None, evidence: Evidence, grid: Grid
) -> dict[str, QuantizedWeight]:
    """Return the rounded weights of a group, and correct its biases where that was chosen."""
    reading = group.reading
    inputs = None
    if reading is not None and group.choice.detail > Detail.CHANNELS:
        inputs = reading.inputs(bounds or reading.extremes(), fixed=bounds is not None)
    moment = inputs.moment() if inputs and group.choice.rounding == "gptq" else None
    found = {}
    for layer in group.layers:
        matrix = layer.matrix()
        if reading is not None:
            matrix = without_rows(matrix, reading.outliers)
        problem = Problem(
            name=layer.name,
            matrix=matrix,
            moment=moment,
            per_channel=grid.per_channel,
            weight_type=grid.weight_type,
        )
        found[layer.name] = evidence.weight(problem, group.choice.rounding)
        if inputs and group.choice.bias_correction:
            correct_bias(graph, layer, inputs.shift(matrix, found[layer.name]))
    return found
