"""One group of layers under one scheme, as a model of its own: what the cost of the scheme is measured on.

It is made by the very rewrites that quantization uses. What onnxruntime makes of it is read back, so that no float
kernel is ever taken for an integer one.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import onnx
import onnx_ir as ir
from pydantic import Field, PositiveInt, model_validator

from quantkit.errors import QuantizationError
from quantkit.graph.blockwise_probe import multiplies_integers
from quantkit.graph.kernels import LINEAR_KERNELS
from quantkit.graph.linear import Linear, linear_layers
from quantkit.latency.snippet import BATCH, SEQUENCE
from quantkit.quantization.choice import BLOCK_SIZE, INTEGER, Choice, Scheme, of_no_use
from quantkit.quantization.grids import GRIDS, INT8, QuantizedWeight
from quantkit.quantization.observe import Range
from quantkit.quantization.rounding import Problem, nearest
from quantkit.quantization.treatments import BY_SETTING
from quantkit.quantization.write import SCHEMES, Parts
from quantkit.records.record import Record

INPUT = "x"
_LAYER = "layer.{}"
_OPSET = 17
_BOUNDS = Range(low=-4.0, high=4.0, seen_low=-4.0, seen_high=4.0)


class CostRequest(Record):
    """One group of layers under one scheme.

    Attributes:
        inputs: width of the tensor that the layers read.
        outputs: width of each layer.
        scheme: how the layers are computed.
        treatments: setting and value of each, in order; those that cost nothing are left out.
        block_size: of blockwise weights; None for every other scheme.
        grid: of integer weights; some have other kernels.
    """

    inputs: PositiveInt
    outputs: tuple[PositiveInt, ...] = Field(min_length=1)
    scheme: Scheme
    treatments: tuple[tuple[str, int | float | str], ...] = ()
    block_size: PositiveInt | None = None
    grid: str = INT8.name

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.scheme == "blockwise") is (self.block_size is None):
            raise ValueError("a block_size belongs to the scheme blockwise, and to no other")
        if self.grid not in GRIDS:
            raise ValueError(f"{self.grid}: is no grid")
        for setting, _ in self.treatments:
            if setting not in BY_SETTING or self.scheme not in BY_SETTING[setting].schemes:
                raise ValueError(of_no_use(setting, self.scheme))
        return self

    @property
    def choice(self) -> Choice:
        """The choice that is measured."""
        return Choice(
            scheme=self.scheme,
            treatments=tuple(BY_SETTING[setting].asked(value) for setting, value in self.treatments),
            grid=GRIDS[self.grid],
            block_size=self.block_size or BLOCK_SIZE,
        )

    def __str__(self) -> str:
        """Return what messages call it."""
        shape = f"{self.inputs} to {', '.join(str(width) for width in self.outputs)}"
        size = f" {self.block_size}" if self.block_size else ""
        counted = [treatment.label for treatment in self.choice.treatments if treatment.per_layer]
        return f"{' '.join([f'{self.scheme}{size}', *counted])}, {shape}"

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
    model, choice = _float_model(request), request.choice
    width, examples = request.inputs, []
    for treatment in choice.treatments:
        example = treatment.example(width)
        example.rewrite(model, linear_layers(model.graph))
        examples.append(example)
        width = linear_layers(model.graph)[0].shape[0]
    layers = linear_layers(model.graph)
    for example in examples:
        example.beside(model, layers)
    weights = _rounded(layers, choice) if choice.scheme in INTEGER else {}
    SCHEMES[choice.scheme](model, layers, Parts(choice=choice, weights=weights, bounds=_BOUNDS))
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
    for treatment in request.choice.treatments:
        if treatment.kernel and f"{_LAYER.format(0)}.{treatment.kernel}" not in executed:
            raise QuantizationError(f"cost of {request}: onnxruntime executes it without {treatment.lost}")


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


def _rounded(layers: Sequence[Linear], choice: Choice) -> dict[str, QuantizedWeight]:
    """Return layer name → its weight, rounded to nearest: what the values are does not change the time."""
    problems = [Problem(name=layer.name, matrix=layer.matrix(), grid=choice.grid) for layer in layers]
    return {problem.name: nearest.round_weight(problem) for problem in problems}
