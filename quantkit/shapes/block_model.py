"""One block, INT8 or float, with its residual, as a model of its own: what the price of an option is measured on.

Blocks one after the other, in float or as INT8, are an encoder of random weights.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from pydantic import NonNegativeInt, PositiveInt

from quantkit.errors import QuantizationError
from quantkit.graph import CONTRIB
from quantkit.graph.kernels import LINEAR_KERNELS
from quantkit.graph.layout import lay_out
from quantkit.graph.linear import linear_layers
from quantkit.latency.snippet import BATCH, SEQUENCE
from quantkit.quantization.choice import Choice, grouped
from quantkit.quantization.grids import GRIDS, INT8
from quantkit.quantization.observe import Range
from quantkit.quantization.rounding import Problem, nearest
from quantkit.quantization.write import SCHEMES, Parts
from quantkit.records.record import Record
from quantkit.runtime.session import ATTENTION_MASK

INPUT = "x"
_OPSET = 17
_BOUNDS = Range(low=-4.0, high=4.0, seen_low=-4.0, seen_high=4.0)
_READERS = {"attention": ("query", "key", "value"), "feed_forward": ("intermediate",)}


class BlockRequest(Record):
    """One block with so many units, static INT8 or float.

    Attributes:
        kind: attention or feed-forward network.
        hidden: width of the residual stream.
        units: heads or neurons; 0: the block is missing, and a constant is added.
        size: columns of one unit.
        activation: operator between the two layers of a feed-forward network.
        grid: of the weights.
        layout: of the graph.
        scheme: of its linear layers.
        pooled: its layer is the last, and the head reads the first token alone: what no other token needs is not
            computed (`quantkit.graph.layout.narrow_pooled`).
    """

    kind: Literal["attention", "feed_forward"]
    hidden: PositiveInt
    units: NonNegativeInt
    size: PositiveInt = 1
    activation: str = "BiasGelu"
    grid: str = INT8.name
    layout: str = "onnxruntime"
    scheme: Literal["static", "float"] = "static"
    pooled: bool = False

    def __str__(self) -> str:
        """Return what messages call it."""
        kind = self.kind if self.scheme == "static" else f"{self.scheme} {self.kind}"
        return f"{kind} of {self.units} in {self.hidden}{' for one token' if self.pooled else ''}"

    def describe(self) -> dict[str, Any]:
        """Return the request as plain JSON, for the table of costs."""
        # What is known of INT8 blocks of all tokens was measured before there were others.
        new = self.model_dump(mode="json", include={"scheme", "pooled"}, exclude_defaults=True)
        return {"snippet": "block", **self.model_dump(mode="json", exclude={"scheme", "pooled"}), **new}

    def build(self) -> ir.Model:
        """Return the model: x float32 [batch, sequence, hidden] → the block and its residual, one token's if pooled."""
        model = float_blocks([self])
        if self.scheme == "static":
            round_all(model, grid=self.grid, layout=self.layout)
        else:
            lay_out(model, self.layout)
        # Float weights that nothing reads any more; what is written to be timed never had them.
        passes.RemoveUnusedNodesPass()(model)
        return model

    def check(self, executed: onnx.GraphProto) -> None:
        """Check that every linear layer of an INT8 block is multiplied in integers.

        Raises:
            QuantizationError: one is not.
        """
        integer = sum(
            (kernel := LINEAR_KERNELS.get(node.op_type)) is not None and kernel.integer
            for node in executed.node
        )
        wanted = len(_READERS[self.kind]) + 1 if self.units and self.scheme == "static" else 0
        if integer < wanted:
            raise QuantizationError(
                f"cost of {self}: onnxruntime multiplies {integer} of {wanted} layers in integers; use another version"
            )


def round_all(model: ir.Model, *, grid: str, layout: str) -> None:
    """Make blocks static INT8 in place, rounded to nearest, for inputs of one range."""
    choice = Choice(scheme="static", grid=GRIDS[grid])
    layers = linear_layers(model.graph)
    problems = [Problem(name=layer.name, matrix=layer.matrix(), grid=choice.grid) for layer in layers]
    weights = {problem.name: nearest.round_weight(problem) for problem in problems}
    assignment = {layer.name: choice for layer in layers}
    for members in grouped(layers, assignment).values():
        SCHEMES["static"](model, members, Parts(choice=choice, weights=weights, bounds=_BOUNDS))
    lay_out(model, layout)


def float_blocks(requests: Sequence[BlockRequest]) -> ir.Model:
    """Return blocks one after the other, in float, fused: of one it is a block, of a model's all the encoder.

    x float32 [batch, sequence, hidden] → y of the same shape, [batch, 1, hidden] of a block that is pooled; the mask is
    an input where there is attention.
    """
    shape = ir.Shape([BATCH, SEQUENCE, requests[0].hidden])
    stream = source = ir.val(INPUT, ir.DataType.FLOAT, shape)
    mask = ir.val(ATTENTION_MASK, ir.DataType.INT64, ir.Shape([BATCH, SEQUENCE]))
    build = _Graph()
    for number, request in enumerate(requests):
        build.prefix = f"{number}." if number else ""
        stream = _block(build, request, stream, mask)
    stream.name, stream.type = "y", ir.TensorType(ir.DataType.FLOAT)
    stream.shape = ir.Shape([BATCH, 1, requests[-1].hidden]) if requests[-1].pooled else shape
    graph = ir.Graph(
        [source, mask] if mask.uses() else [source],
        [stream],
        nodes=build.nodes,
        initializers=build.weights,
        opset_imports={"": _OPSET, CONTRIB: 1},
        name="block",
    )
    return ir.Model(graph, ir_version=8)


def _block(build: "_Graph", request: BlockRequest, source: ir.Value, mask: ir.Value) -> ir.Value:
    """Add a block and its residual; return what it gives."""
    hidden, width = request.hidden, request.units * request.size
    stream = build.first_token(source) if request.pooled else source
    if not request.units:
        total = build.node("Add", [stream, build.vector("bias", hidden)])
        weights = [build.vector("gamma", hidden), build.vector("beta", hidden)]
        return build.node("LayerNormalization", [total, *weights], axis=-1, epsilon=1e-12)
    if request.kind == "attention":
        # Keys and values are those of all tokens in any case.
        inner = [
            build.linear(name, stream if name == "query" else source, hidden, width)
            for name in _READERS["attention"]
        ]
        inner += [build.vector("biases", 3 * width), build.node("Cast", [mask], to=ir.DataType.INT32)]
        attended = build.node("MultiHeadAttention", inner, num_heads=request.units)
    else:
        inner = [build.linear("intermediate", stream, hidden, width)]
        attended = build.node(request.activation, [inner[0], build.vector("inner_bias", width)])
    projected = build.linear("projection", attended, width, hidden)
    vectors = [build.vector(name, hidden) for name in ("gamma", "beta", "bias")]
    return build.node("SkipLayerNormalization", [projected, stream, *vectors], epsilon=1e-12)


class _Graph:
    """Nodes and random weights, one after the other."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self.prefix = ""
        self.nodes: list[ir.Node] = []
        self.weights: list[ir.Value] = []

    def vector(self, name: str, length: int) -> ir.Value:
        return self._weight(name, self._random.standard_normal(length, np.float32))

    def first_token(self, source: ir.Value) -> ir.Value:
        index = self._weight("first", np.zeros(1, np.int64))
        return self.node("Gather", [source, index], axis=1)

    def linear(self, name: str, source: ir.Value, inputs: int, outputs: int) -> ir.Value:
        matrix = self._random.standard_normal((inputs, outputs), np.float32) / np.float32(inputs**0.5)
        return self.node("MatMul", [source, self._weight(f"{name}.weight", matrix)], name=name)

    def node(
        self, operator: str, inputs: list[ir.Value], *, name: str = "", **attributes: int | float
    ) -> ir.Value:
        own = operator not in ("MatMul", "Add", "LayerNormalization", "Relu", "Cast", "Gather")
        node = ir.node(
            operator,
            inputs,
            attributes=attributes,
            domain=CONTRIB if own else "",
            name=self.prefix + (name or operator),
        )
        node.outputs[0].name = f"{node.name}_output"
        self.nodes.append(node)
        return node.outputs[0]

    def _weight(self, name: str, array: np.ndarray) -> ir.Value:
        name = self.prefix + name
        value = ir.val(name, const_value=ir.tensor(np.ascontiguousarray(array), name=name))
        self.weights.append(value)
        return value
