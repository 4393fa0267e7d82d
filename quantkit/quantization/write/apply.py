"""An assignment of choices to layers, written into the graph.

Order: treatments of the whole model · each group's treatments · ranges · weights rounded · biases corrected · what is
computed apart · rewritten, scheme by scheme.

Layers that read the same tensor and have the same choice are one group: they share treatments, the range and the
QuantizeLinear.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from quantkit.files import digest_of, sha256_bytes
from quantkit.graph.linear import Linear, linear_layers
from quantkit.progress import track
from quantkit.quantization.choice import INTEGER, Assignment, Choice, grouped
from quantkit.quantization.grids import QuantizedWeight
from quantkit.quantization.observe.calibration import calibrate
from quantkit.quantization.observe.range import Range
from quantkit.quantization.observe.statistics import Detail
from quantkit.quantization.treatments.reading import Reading
from quantkit.quantization.treatments.treated import Treated
from quantkit.quantization.write.bias import correct_bias
from quantkit.quantization.write.schemes import SCHEMES, Parts


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    """Layers that read one tensor and have one choice, and how they read it; None when nothing was calibrated."""

    layers: tuple[Linear, ...]
    choice: Choice
    reading: Reading | None


def apply(model: ir.Model, assignment: Assignment, treated: Treated) -> dict[str, Range]:
    """Rewrite the linear layers of `model` in place.

    Args:
        model: the FP32 model.
        assignment: a settled choice for every linear layer.
        treated: with statistics of every tensor that a calibrated choice reads, with the detail that it needs.

    Returns:
        Layer name → range of its input, for the static ones.

    Raises:
        RecipeError: a rounding needs calibration data and there is none.
        QuantizationError: a weight is NaN or infinite.
    """
    for once in treated.whole.values():
        once.rewrite(model)
    groups = _treated_groups(model, assignment, treated)
    ranges = _ranges(model, groups, treated)
    weights: dict[str, QuantizedWeight] = {}
    with track("round", len(groups), "groups") as advance:
        for place, group in enumerate(groups):
            if group.choice.scheme in INTEGER:
                weights |= _rounded(model.graph, group, ranges.get(place), treated)
            advance(1)
    found: dict[str, Range] = {}
    for place, group in enumerate(groups):
        for decision in group.reading.decisions if group.reading else ():
            decision.beside(model, group.layers)
        parts = Parts(choice=group.choice, weights=weights, bounds=ranges.get(place))
        SCHEMES[group.choice.scheme](model, group.layers, parts)
        if parts.bounds is not None:
            found |= {layer.name: parts.bounds for layer in group.layers}
    return found


def _treated_groups(model: ir.Model, assignment: Assignment, treated: Treated) -> list[_Group]:
    """Treat each group's channels in the graph, and return the groups as they are afterwards."""
    before = grouped(linear_layers(model.graph), assignment)
    readings = {
        (tensor, choice): treated.reading(tensor, layers, choice) if choice.calibrated else None
        for (tensor, choice), layers in before.items()
    }
    for key, reading in readings.items():
        for decision in reading.decisions if reading else ():
            decision.rewrite(model, before[key])
    # That changed the weights, and for some layers the tensor they read.
    after = {layer.name: layer for layer in linear_layers(model.graph)}
    return [
        _Group(layers=tuple(after[layer.name] for layer in layers), choice=key[1], reading=readings[key])
        for key, layers in before.items()
    ]


def _ranges(model: ir.Model, groups: Sequence[_Group], treated: Treated) -> dict[int, Range]:
    """Return place of a static group → the range of its input, smoothed."""
    found: dict[int, Range] = {}
    job = treated.observations.job
    by_histogram: dict[tuple[str, float], list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        if group.choice.scheme != "static":
            continue
        assert group.reading is not None
        rule = group.choice.range
        if rule.method == "minmax":
            found[place] = group.reading.extremes()
        else:
            by_histogram[rule.method, rule.percentile].append(place)
    # Rewriting any group moves every tensor in its last bits: all of it is part of the key.
    rewritten = [
        [[layer.name for layer in group.layers], [sha256_bytes(array.tobytes()) for array in arrays]]
        for group in groups
        if group.reading is not None and (arrays := group.reading.parameters())
    ]
    for (method, percentile), places in by_histogram.items():
        assert job is not None
        tensors = [groups[place].layers[0].activation for place in places]
        names = [layer.name for place in places for layer in groups[place].layers]
        key = digest_of([treated.key, method, percentile, names, rewritten])
        ranges = calibrate(model, tensors, job.by_method(method, percentile), key=key)
        found |= {place: ranges[tensor.name or ""] for place, tensor in zip(places, tensors, strict=True)}
    return {
        place: bounds.around_zero() if groups[place].choice.range.symmetric else bounds
        for place, bounds in found.items()
    }


def _rounded(
    graph: ir.Graph, group: _Group, bounds: Range | None, treated: Treated
) -> dict[str, QuantizedWeight]:
    """Return the rounded weights of a group, and correct its biases where that was chosen."""
    reading, choice, inputs = group.reading, group.choice, None
    if reading is not None and choice.detail > Detail.CHANNELS:
        inputs = reading.inputs(choice, bounds)
    matrices = (
        (layer.name, reading.rest(layer.matrix()) if reading else layer.matrix()) for layer in group.layers
    )
    found = {}
    for layer, rounded in zip(group.layers, treated.rounded(matrices, choice, inputs), strict=True):
        found[layer.name] = rounded.weight
        if rounded.correction is not None:
            correct_bias(graph, layer, rounded.correction)
    return found
