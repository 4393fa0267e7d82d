"""Names of a traced graph: linear layers by module path, weights by parameter name, constants folded.

1. A parameter becomes the initializer of its torch name. The exporter joins equal parameters by Identity;
   they are parted again, unless torch itself shares their memory.
2. A linear layer, `MatMul(x, Transpose(weight)) + bias` or `Gemm`, becomes MatMul and Add. The MatMul is
   named by the module path, and its weight `<path>.weight` is stored [inputs, outputs], once for all the
   calls of a module that is called several times.
3. Constants become initializers, and what is computed of constants alone is computed here.
"""

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch
from onnxscript.optimizer import fold_constants

from quantkit.graph.linear import is_constant
from quantkit.graph.pattern import replace

SCOPE = "traced"  # the attribute of the traced wrapper that holds the model
_MODULE = f"{SCOPE}."
_NODE = f"/{SCOPE}"
_OF_WEIGHTS = (
    ".of_weights"  # behind the path of a layer that is also called with weights alone, for that call
)
_FIRST_NUMBER = re.compile(r"^(.*?\.\d+\.|)")


def name_graph(model: ir.Model, module: torch.nn.Module) -> None:
    """Attach the weights and give the graph its names, in place.

    Args:
        model: as the TorchScript exporter wrote it, without weights.
        module: the module that was traced.
    """
    _attach_parameters(model.graph, dict(module.named_parameters(remove_duplicate=False)))
    _split_gemms(model.graph)
    _name_linears(model.graph)
    _strip_scope(model.graph)
    passes.IdentityEliminationPass()(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fold_constants(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.RemoveUnusedNodesPass()(model)


def _attach_parameters(graph: ir.Graph, parameters: dict[str, torch.nn.Parameter]) -> None:
    """Replace graph inputs that stand for parameters, and Identities between equal ones, by initializers."""
    shared: dict[int, ir.Value] = {}
    standing = [value for value in graph.inputs if (value.name or "").startswith(_MODULE)]
    standing += [
        node.outputs[0]
        for node in graph
        if node.op_type == "Identity" and (node.outputs[0].name or "").startswith(_MODULE)
    ]
    for value in standing:
        name = (value.name or "").removeprefix(_MODULE)
        parameter = parameters[name]
        weight = shared.get(parameter.data_ptr())
        if weight is None:
            weight = shared[parameter.data_ptr()] = _weight(name, parameter)
            graph.register_initializer(weight)
        value.replace_all_uses_with(weight)
    for value in [value for value in graph.inputs if value in standing]:
        graph.inputs.remove(value)


def _weight(name: str, parameter: torch.Tensor) -> ir.Value:
    """Return an initializer that reads the parameter's memory when it is written, not now."""

    def read() -> ir.Tensor[Any]:
        return ir.Tensor(parameter.detach().numpy(), name=name)

    return _lazy(name, tuple(parameter.shape), read)


def _lazy(name: str, shape: tuple[int, ...], read: Callable[[], ir.Tensor[Any]]) -> ir.Value:
    tensor = ir.LazyTensor(read, ir.DataType.FLOAT, ir.Shape(shape), name=name)
    kind = ir.TensorType(ir.DataType.FLOAT)
    return ir.Value(name=name, shape=ir.Shape(shape), type=kind, const_value=tensor)


def _split_gemms(graph: ir.Graph) -> None:
    """Write `Gemm(x, W, b)`, the exporter's form of a linear layer over [batch, width], as MatMul and Add."""
    for node in [node for node in graph if node.op_type == "Gemm"]:
        x, weight, bias = node.inputs
        assert x is not None
        assert weight is not None
        assert node.attributes["transB"].as_int() == 1
        turned = ir.node("Transpose", [weight], {"perm": [1, 0]})
        scope = (node.name or "").removesuffix("/Gemm")
        product = ir.node("MatMul", [x, turned.outputs[0]], name=node.name)
        product.outputs[0].name = f"{scope}/MatMul_output_0"
        total = ir.node("Add", [product.outputs[0], bias], name=f"{scope}/Add")
        graph.insert_before(node, (turned, product, total))
        replace(graph, node.outputs[0], total.outputs[0])


def _name_linears(graph: ir.Graph) -> None:
    """Give `MatMul(x, Transpose(weight))` its module's path, and store the weight [inputs, outputs].

    A module that is called several times (a layer that ALBERT repeats) has one weight and a name for each call.
    """
    calls: dict[str, list[ir.Node]] = {}
    weights: dict[str, ir.Value] = {}
    for node in [node for node in graph if node.op_type == "MatMul"]:
        transpose = node.inputs[1].producer() if node.inputs[1] is not None else None
        weight = transpose.inputs[0] if transpose is not None and transpose.op_type == "Transpose" else None
        if weight is None or not weight.is_initializer() or weight.name is None:
            continue  # queries times keys, attention times values
        path = weight.name.removesuffix(".weight")
        if is_constant(node.inputs[0]):
            path = f"{path}{_OF_WEIGHTS}"
        calls.setdefault(path, []).append(node)
        weights[path] = weight
    known: dict[ir.Value, ir.Value] = {}
    for path, nodes in calls.items():
        turned = known.get(weights[path])
        if turned is None:
            turned = known[weights[path]] = _turned(weights[path])
            graph.initializers.pop(weights[path].name or "")
            graph.register_initializer(turned)
        for number, node in enumerate(nodes):
            node.replace_input_with(1, turned)
            node.name = path if len(nodes) == 1 else _of_call(path, number)


def _of_call(path: str, number: int) -> str:
    """Return the path with the number of the call behind its first number: what a pattern ends in stays its end."""
    return _FIRST_NUMBER.sub(rf"\1use.{number}.", path, count=1)


def _turned(weight: ir.Value) -> ir.Value:
    """Return the initializer of the transposed matrix, of the same name, read when it is written."""
    name, tensor = weight.name or "", weight.const_value
    assert tensor is not None
    rows, columns = (int(size) for size in tensor.shape.numpy())

    def read() -> ir.Tensor[Any]:
        return ir.Tensor(np.ascontiguousarray(tensor.numpy().T), name=name)

    return _lazy(name, (columns, rows), read)


def _strip_scope(graph: ir.Graph) -> None:
    """Take the wrapper's name out of node and value names."""
    for node in graph:
        node.name = (node.name or "").replace(f"{_NODE}/", "/", 1) or None
        for value in node.outputs:
            if value.name is not None:
                value.name = value.name.replace(f"{_NODE}/", "/", 1)
