"""One group of layers under one scheme, as a model of its own: what the cost of the scheme is measured on.

It is made by the very rewrites that quantization uses. What onnxruntime makes of it is read back, so that no float
kernel is ever taken for an integer one.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
import onnx
import onnx_ir as ir
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from quantkit.errors import QuantizationError
from quantkit.graph.blockwise_probe import multiplies_integers
from quantkit.graph.kernels import LINEAR_KERNELS
from quantkit.graph.linear import Linear, linear_layers
from quantkit.latency.snippet import BATCH, SEQUENCE
from quantkit.quantization.affine import QuantizedWeight, WeightType
from quantkit.quantization.rounding import Problem, nearest
from quantkit.quantization.treatments.outliers import multiply_outliers
from quantkit.quantization.treatments.smooth import smooth
from quantkit.quantization.treatments.split import split_channels, split_evenly
from quantkit.quantization.write.blockwise import quantize_blockwise
from quantkit.quantization.write.dynamic import quantize_dynamic
from quantkit.quantization.write.static import quantize_static
from quantkit.records.record import Record

Scheme = Literal["float", "static", "dynamic", "blockwise"]

INPUT = "x"
_LAYER = "layer.{}"
_OPSET = 17


class CostRequest(Record):
    """One group of layers under one scheme.

    Attributes:
        inputs: width of the tensor that the layers read.
        outputs: width of each layer.
        scheme: how the layers are computed.
        smoothed: a Mul stands before them.
        outliers: inputs that are multiplied in float, for static.
        split: copies of inputs that are read again, for static.
        block_size: of blockwise weights; None for every other scheme.
        weight_type: of integer weights; uint8 has other kernels.
    """

    inputs: PositiveInt
    outputs: tuple[PositiveInt, ...] = Field(min_length=1)
    scheme: Scheme
    smoothed: bool = False
    outliers: NonNegativeInt = 0
    split: NonNegativeInt = 0
    block_size: PositiveInt | None = None
    weight_type: WeightType = "int8"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.scheme == "blockwise") is (self.block_size is None):
            raise ValueError("a block_size belongs to the scheme blockwise, and to no other")
        if self.outliers and self.scheme != "static":
            raise ValueError("outliers belong to the scheme static, and to no other")
        if self.split and self.scheme != "static":
            raise ValueError("a split belongs to the scheme static, and to no other")
        return self

    def __str__(self) -> str:
        """Return what messages call it."""
        shape = f"{self.inputs} to {', '.join(str(width) for width in self.outputs)}"
        size = f" {self.block_size}" if self.block_size else ""
        outliers = f" outliers {self.outliers}" if self.outliers else ""
        split = f" split {self.split}" if self.split else ""
        return f"{self.scheme}{size}{outliers}{split}, {shape}"

    def describe(self) -> dict[str, Any]:
        """Return the request as plain JSON, for the table of costs."""
        return {"snippet": "group", **self.model_dump(mode="json")}

    def build(self) -> ir.Model:
        """Return the group's model (`group_model`)."""
        return group_model(self)

    def check(self, executed: onnx.GraphProto) -> None:
        """Check that every layer ended in a kernel of its scheme (`check_kernels`)."""
        check_kernels(self, executed)


def group_model(request: CostRequest) -> ir.Model:
    """Return the group's model: x float32 [batch, sequence, inputs] → one output for each layer, in order."""
    model = _float_model(request)
    if request.split:
        times = np.ones(request.inputs, np.int64)
        times[: request.split] = 2
        split_channels(model.graph, linear_layers(model.graph), split_evenly(times))
    if request.smoothed:
        layers = linear_layers(model.graph)
        # Factors of many values, as real ones are: onnxruntime may move a Mul by a single number elsewhere.
        factors = np.linspace(0.5, 2.0, request.inputs + request.split, dtype=np.float32)
        smooth(model, layers, {layers[0].activation.name or "": factors})
    _REWRITES[request.scheme](model, linear_layers(model.graph), request)
    return model


def check_kernels(request: CostRequest, optimized: onnx.GraphProto) -> None:
    """Check that every layer ended in a kernel of its scheme, behind the Mul of smoothing where there is to be one.

    Raises:
        QuantizationError: one did not.
    """
    executed = {node.name: node for node in optimized.node}
    for index in range(len(request.outputs)):
        name = _LAYER.format(index)
        node = executed.get(name)
        if node is None or not _is_of(request.scheme, node):
            found = "no kernel of that name" if node is None else node.op_type
            raise QuantizationError(
                f"cost of {request}: onnxruntime executes {found} for it, which is no kernel of this scheme; "
                "leave the scheme out, or use another version of onnxruntime"
            )
    if request.smoothed and f"{_LAYER.format(0)}.input_smooth" not in executed:
        raise QuantizationError(
            f"cost of {request}: onnxruntime executes it without the Mul of smoothing; measure it unsmoothed"
        )
    if request.split and f"{_LAYER.format(0)}.input_split" not in executed:
        raise QuantizationError(
            f"cost of {request}: onnxruntime executes it without the copies of channels; measure it without them"
        )
    if request.outliers and f"{_LAYER.format(0)}.outliers" not in executed:
        raise QuantizationError(
            f"cost of {request}: onnxruntime executes it without the product of outliers; measure it without them"
        )


def _is_of(scheme: Scheme, node: onnx.NodeProto) -> bool:
    kernel = LINEAR_KERNELS.get(node.op_type)
    if node.op_type == "MatMulNBits":
        # The name of a float kernel, too.
        sizes = {attribute.name: attribute.i for attribute in node.attribute}
        return scheme == "blockwise" and multiplies_integers(sizes["block_size"], zero_points=False)
    return scheme != "blockwise" and kernel is not None and kernel.integer is (scheme != "float")


def _float_model(request: CostRequest) -> ir.Model:
    """Return the group in float: x [batch, sequence, inputs] → a MatMul for each layer, all of them outputs."""
    random_numbers = np.random.default_rng(0)
    source = ir.val(INPUT, ir.DataType.FLOAT, ir.Shape([BATCH, SEQUENCE, request.inputs]))
    nodes, weights = [], []
    for index, width in enumerate(request.outputs):
        matrix = random_numbers.standard_normal((request.inputs, width), np.float32) / request.inputs**0.5
        name = _LAYER.format(index)
        weight = ir.val(f"{name}.weight", const_value=ir.tensor(matrix, name=f"{name}.weight"))
        node = ir.node("MatMul", [source, weight], name=name)
        node.outputs[0].name = f"y{index}"
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        node.outputs[0].shape = ir.Shape([BATCH, SEQUENCE, width])
        nodes.append(node)
        weights.append(weight)
    graph = ir.Graph(
        [source],
        [node.outputs[0] for node in nodes],
        nodes=nodes,
        initializers=weights,
        opset_imports={"": _OPSET, "com.microsoft": 1},
        name="group",
    )
    return ir.Model(graph, ir_version=8)


def _rounded(layers: Sequence[Linear], request: CostRequest) -> dict[str, QuantizedWeight]:
    """Return layer name → its weight, rounded to nearest: what the values are does not change the time."""
    problems = [
        Problem(name=layer.name, matrix=layer.matrix(), weight_type=request.weight_type) for layer in layers
    ]
    return {problem.name: nearest.round_weight(problem) for problem in problems}


def _keep_float(model: ir.Model, layers: Sequence[Linear], request: CostRequest) -> None:
    """Leave the group as it is."""


def _make_static(model: ir.Model, layers: Sequence[Linear], request: CostRequest) -> None:
    ranges = {layer.activation.name or "": (-4.0, 4.0) for layer in layers}
    if request.outliers:
        multiply_outliers(
            model.graph, layers, np.arange(request.outliers) * (request.inputs // request.outliers)
        )
    quantize_static(model, layers, ranges, _rounded(layers, request))


def _make_dynamic(model: ir.Model, layers: Sequence[Linear], request: CostRequest) -> None:
    quantize_dynamic(model, layers, _rounded(layers, request))


def _make_blockwise(model: ir.Model, layers: Sequence[Linear], request: CostRequest) -> None:
    assert request.block_size is not None
    quantize_blockwise(model, layers, request.block_size)


_REWRITES: dict[Scheme, Callable[[ir.Model, Sequence[Linear], CostRequest], None]] = {
    "float": _keep_float,
    "static": _make_static,
    "dynamic": _make_dynamic,
    "blockwise": _make_blockwise,
}
"""Scheme → the rewrite of quantization that makes it."""
