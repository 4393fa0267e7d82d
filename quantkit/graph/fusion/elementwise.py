"""Recognises an activation by the function it computes, not by the order its nodes were written in.

Exporters write one activation in many ways: x/√2 or x·0.7071, the half before or after the product, x³ as a
power or as products. So the region of element-wise nodes between the activation's input and its output is
found, evaluated on a grid in double precision and compared with the definition. The definitions (Hendrycks
and Gimpel, "Gaussian Error Linear Units", 2016):

    erf Gelu    x/2 · (1 + erf(x/√2))
    tanh Gelu   x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))

They differ by up to 4.7e-4 from one another, and constants rounded to float32 move them by less than 1e-6;
`TOLERANCE` lies between.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from quantkit.graph.pattern import Stopped, is_op, label, operand, origin, require_private, scalar

TOLERANCE = 1e-5
Floats = npt.NDArray[np.float64]

_GRID: Floats = np.linspace(-8.0, 8.0, 257)
_REGION = ("Add", "Sub", "Mul", "Div", "Pow", "Erf", "Tanh")
# Steps from the Erf or Tanh to the result: + 1, · x, · 1/2, and room for one more constant.
_STEPS = 5
_erf = np.vectorize(math.erf, otypes=[np.float64])
_OPERATORS: dict[str, Callable[..., Floats]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Erf": _erf,
    "Tanh": np.tanh,
}


def erf_gelu(x: Floats) -> Floats:
    """Return x/2 · (1 + erf(x/√2))."""
    result: Floats = 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))
    return result


def tanh_gelu(x: Floats) -> Floats:
    """Return x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation:
    """`nodes` compute `output` from `source`, and nothing outside reads what is between."""

    source: ir.Value
    output: ir.Value
    nodes: tuple[ir.Node, ...]


def recognise_activation(anchor: ir.Node, function: Callable[[Floats], Floats]) -> Activation:
    """Return the region around `anchor` (an Erf or Tanh) that computes `function`.

    Raises:
        Stopped: no region does, or something else reads from inside it.
    """
    output = anchor.outputs[0]
    sources: list[ir.Value] = []
    distance: float | None = None
    for _ in range(_STEPS):
        readers = set(output.consumers())
        if len(readers) != 1:
            break
        reader = next(iter(readers))
        if not is_op(reader, *_REGION):
            break
        others = [value for value in reader.inputs if value is not None and value is not output]
        output = reader.outputs[0]
        sources += [source for other in others if scalar(other) is None for source in _unscaled(other)]
        for source in sources:
            computed = _evaluate(output, source)
            if computed is None:
                continue
            worst = float(np.abs(computed[0] - function(_GRID)).max())
            if worst <= TOLERANCE:
                require_private(computed[1], output)
                return Activation(source=source, output=output, nodes=tuple(computed[1]))
            distance = worst if distance is None else min(distance, worst)
    last = output.producer()
    assert last is not None
    if distance is not None:
        raise Stopped(label(last), f"computes another function (it differs by {distance:.2g})")
    readers = set(output.consumers())
    if len(readers) == 1:
        reader = next(iter(readers))
        raise Stopped(
            label(reader), f"is a {reader.op_type}, which this activation does not have after {label(last)}"
        )
    raise Stopped(label(last), f"has {len(readers)} readers, where the activation goes on with one")


def _unscaled(value: ir.Value) -> list[ir.Value]:
    """Return `value`, and what it was before it was multiplied or divided by constants."""
    found = [value]
    node = value.producer()
    while node is not None and is_op(node, "Mul", "Div"):
        computed = [part for part in (operand(node, 0), operand(node, 1)) if scalar(part) is None]
        if len(computed) != 1:
            break
        found.append(computed[0])
        node = computed[0].producer()
    return found


def _evaluate(output: ir.Value, source: ir.Value) -> tuple[Floats, list[ir.Node]] | None:
    """Compute `output` on the grid put in for `source`; None when it depends on anything else."""
    nodes: list[ir.Node] = []
    known: dict[ir.Value, Floats] = {source: _GRID}

    def compute(value: ir.Value) -> Floats | None:
        if value in known:
            return known[value]
        number = scalar(value)
        if number is not None:
            return np.full_like(_GRID, number)
        node = value.producer()
        if node is None or not is_op(node, *_REGION):
            return None
        parts = [compute(part) for part in node.inputs if part is not None]
        if any(part is None for part in parts):
            return None
        nodes.append(node)
        known[value] = _OPERATORS[node.op_type](*parts)
        return known[value]

    computed = compute(output)
    return None if computed is None else (computed, nodes)


def describe_source(activation: Activation) -> str:
    """Return where the activation's input comes from, for a reason."""
    return origin(activation.source)
