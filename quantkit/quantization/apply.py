"""An assignment of choices to layers, written into the graph.

Order: smooth · ranges · weights rounded · biases corrected · rewritten, scheme by scheme. Layers that read the same
tensor and have the same choice are one group: they share smoothing factors, the range and the QuantizeLinear.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quantkit.files import digest_of, sha256_bytes
from quantkit.graph.linear import Linear, linear_layers
from quantkit.quantization.affine import QuantizedWeight, WeightType
from quantkit.quantization.bias import correct_bias
from quantkit.quantization.blockwise import quantize_blockwise
from quantkit.quantization.calibration import Range, calibrate
from quantkit.quantization.choice import Choice
from quantkit.quantization.dynamic import quantize_dynamic
from quantkit.quantization.evidence import Evidence
from quantkit.quantization.inputs import Inputs
from quantkit.quantization.rounding import Problem
from quantkit.quantization.smoothing import smooth
from quantkit.quantization.static import quantize_static
from quantkit.quantization.statistics import Detail, Statistics

Assignment = Mapping[str, Choice]
"""Layer name → choice, for every linear layer of the graph."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """What all weights have in common."""

    per_channel: bool
    weight_type: WeightType


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    """Layers that read one tensor and have one choice; `tensor` is its name before smoothing."""

    tensor: str
    layers: tuple[Linear, ...]
    choice: Choice
    factors: np.ndarray | None


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
    """Smooth the graph, and return its groups as they are afterwards."""
    before = grouped(linear_layers(model.graph), assignment)
    factors: dict[tuple[str, Choice], np.ndarray] = {
        (tensor, choice): evidence.factors(tensor, layers, choice)
        for (tensor, choice), layers in before.items()
        if choice.scheme in ("static", "dynamic") and choice.smooth is not None
    }
    for (tensor, choice), found in factors.items():
        smooth(model, before[tensor, choice], {tensor: found})
    # Smoothing changed the weights, and for some layers the tensor they read.
    after = {layer.name: layer for layer in linear_layers(model.graph)}
    return [
        _Group(
            tensor=tensor,
            layers=tuple(after[layer.name] for layer in layers),
            choice=choice,
            factors=factors.get((tensor, choice)),
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
        if group.choice.method == "minmax":
            found[place] = extremes(evidence.statistics[group.tensor], group.factors)
        else:
            by_histogram[group.choice.method, group.choice.percentile].append(place)
    # Smoothing any group moves every tensor in its last bits: all of it is part of the key.
    smoothed = [
        [[layer.name for layer in group.layers], sha256_bytes(group.factors.tobytes())]
        for group in groups
        if group.factors is not None
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


def extremes(statistics: Statistics, factors: np.ndarray | None) -> Range:
    """Return smallest and largest value of a tensor after smoothing: the estimator minmax."""
    shrink = np.float32(1) if factors is None else factors
    low, high = float((statistics.low / shrink).min()), float((statistics.high / shrink).max())
    return Range(low=low, high=high, seen_low=low, seen_high=high)


def _rounded(
    graph: ir.Graph, group: _Group, bounds: Range | None, evidence: Evidence, grid: Grid
) -> dict[str, QuantizedWeight]:
    """Return the rounded weights of a group, and correct its biases where that was chosen."""
    inputs = _inputs(group, bounds, evidence) if group.choice.detail > Detail.CHANNELS else None
    moment = inputs.moment() if inputs and group.choice.rounding == "gptq" else None
    found = {}
    for layer in group.layers:
        matrix = layer.matrix()
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


def _inputs(group: _Group, bounds: Range | None, evidence: Evidence) -> Inputs:
    seen = evidence.statistics[group.tensor]
    factors = np.ones(len(seen.low), np.float32) if group.factors is None else group.factors
    return Inputs(
        seen=seen,
        factors=factors,
        bounds=bounds or extremes(seen, factors),
        fixed=bounds is not None,
    )
