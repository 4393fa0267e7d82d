"""The signs of weights as a graph holds them: in float or in integers, as they are or turned, alone or three in one.

A layer is the product of an activation with a constant; of a fused attention its weight is query, key and value beside
each other. A weight is stored as it is, behind DequantizeLinear, turned by a Transpose, or any of these in a row.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quantkit.graph.pattern import constant, int_attribute, optional_operand

Signs = NDArray[np.int8]

_NONE = 99
# Operator → (its weight, the weight's scales, the weight's zero points) among its inputs.
_PRODUCTS: Mapping[str, tuple[int, int, int]] = {
    "MatMul": (1, _NONE, _NONE),
    "Gemm": (1, _NONE, _NONE),
    "FusedMatMul": (1, _NONE, _NONE),
    "FusedGemm": (1, _NONE, _NONE),
    "MatMulInteger": (1, _NONE, 3),
    "MatMulIntegerToFloat": (1, 3, 5),
    "DynamicQuantizeMatMul": (1, 2, 3),
    "QLinearMatMul": (3, 4, 5),
    "QGemm": (3, 4, 5),
}
_ATTENTIONS: Mapping[str, tuple[int, int, int]] = {
    "Attention": (1, _NONE, _NONE),
    "QAttention": (1, 4, 7),
}
_TURNABLE = ("Gemm", "FusedGemm", "QGemm")
_STEPS = ("Identity", "Cast", "Transpose", "DequantizeLinear", "QuantizeLinear")
_OUTLIERS = ".outliers"
_TAKE_LEVELS = ("DequantizeLinear", "QLinearAdd")
# What ONNX Runtime's quantizers add to the name of a table.
_THEIR_TABLE = "_quantized"


def layer_signs(node: ir.Node | None, nodes: Mapping[str, ir.Node]) -> Signs | None:
    """Return the signs of a layer's weight [inputs, outputs], with the rows that are multiplied apart.

    Args:
        node: the layer; None: it is not there.
        nodes: all nodes by name; `<layer>.outliers` is the product beside the layer.
    """
    if node is None:
        return None
    signs = _blocks(node) if node.op_type == "MatMulNBits" else _plain(node, _PRODUCTS)
    apart = nodes.get(f"{node.name}{_OUTLIERS}")
    if signs is None or apart is None:
        return signs
    picked, beside = _picked(apart, signs.shape[0]), _plain(apart, _PRODUCTS)
    if picked is None or beside is None or beside.shape != (len(picked), signs.shape[1]):
        return signs
    whole = signs.copy()
    whole[picked] = beside
    return whole


def all_signs(nodes: Iterable[ir.Node], named: Mapping[str, ir.Node]) -> Iterator[tuple[ir.Node, Signs]]:
    """Yield every product with a constant and the signs of its weight; of a fused attention query, key and value.

    Args:
        nodes: in the order they are to be yielded.
        named: all nodes by name.
    """
    for node in nodes:
        if node.op_type in _ATTENTIONS:
            together = _plain(node, _ATTENTIONS)
            if together is not None and together.shape[1] % 3 == 0:
                yield from ((node, part) for part in np.split(together, 3, axis=1))
        elif node.name is None or not node.name.endswith(_OUTLIERS):
            signs = layer_signs(node, named)
            if signs is not None:
                yield node, signs


def looked_up(graph: ir.Graph) -> Iterator[tuple[str, Signs]]:
    """Yield name → signs of every table that rows are looked up in: in float, or in integers of positive scales."""
    for node in graph:
        if node.op_type in ("EmbedLayerNormalization", "QEmbedLayerNormalization"):
            inputs = node.inputs[2:5]
        elif node.op_type == "Gather":
            inputs = node.inputs[:1]
        else:
            continue
        for looked in inputs:
            value, zeros = _stored_table(node, looked)
            signs = _levels(array(value), None, zeros)
            if value is not None and signs is not None:
                name = (value.name or "").removesuffix("_int8").removesuffix(_THEIR_TABLE)
                yield name.removesuffix(".weight"), signs


def array(value: ir.Value | None) -> NDArray[np.generic] | None:
    """Return a constant as an array; None when it is none."""
    tensor = constant(value)
    return None if tensor is None else tensor.numpy()


def _plain(node: ir.Node, products: Mapping[str, tuple[int, int, int]]) -> Signs | None:
    """Return the signs of the weight of a product."""
    if node.op_type not in products:
        return None
    place, scale, zero = products[node.op_type]
    scales, zeros = array(optional_operand(node, scale)), array(optional_operand(node, zero))
    signs = _stored(optional_operand(node, place), scales, zeros)
    if signs is None:
        return None
    return signs.T if node.op_type in _TURNABLE and int_attribute(node, "transB", 0) else signs


def _stored(
    value: ir.Value | None, scales: NDArray[np.generic] | None, zeros: NDArray[np.generic] | None
) -> Signs | None:
    """Return the signs of a weight, through what stands between its constant and its product."""
    turned = False
    for _ in range(len(_STEPS)):
        producer = value.producer() if value is not None else None
        if value is None or producer is None or producer.op_type not in _STEPS:
            break
        if constant(value) is not None:
            break
        if producer.op_type == "Transpose":
            turned = not turned
        elif producer.op_type == "DequantizeLinear":
            scales, zeros = (array(optional_operand(producer, index)) for index in (1, 2))
        elif producer.op_type == "QuantizeLinear":
            scales, zeros = None, None
        value = producer.inputs[0]
    signs = _levels(array(value), scales, zeros, rows=turned)
    return signs.T if signs is not None and turned else signs


def _blocks(node: ir.Node) -> Signs | None:
    """Return the signs of a block-wise weight of 8 bits: uint8 [outputs, blocks, block size], zero point 128."""
    values = array(optional_operand(node, 1))
    if values is None or values.dtype != np.uint8 or int_attribute(node, "bits", 4) != 8:
        return None
    inputs, outputs = node.attributes["K"].as_int(), node.attributes["N"].as_int()
    flat = values.reshape(outputs, -1)[:, :inputs].astype(np.int16) - 128
    found: Signs = np.sign(flat).astype(np.int8)
    return found.T


def _levels(
    values: NDArray[np.generic] | None,
    scales: NDArray[np.generic] | None,
    zeros: NDArray[np.generic] | None,
    *,
    rows: bool = False,
) -> Signs | None:
    """Return the signs of what levels stand for; of integers their scales' signs count too.

    Args:
        values: the constant, of two axes.
        scales: one, or one for each column.
        zeros: the same.
        rows: scales and zero points are of rows, not of columns.
    """
    if values is None or values.ndim != 2:
        return None
    if values.dtype.kind == "f":
        floats: Signs = np.sign(values).astype(np.int8)
        return floats
    levels = values.astype(np.int16)
    if zeros is not None:
        levels = levels - _beside(zeros.astype(np.int16), levels, rows=rows)
    signs: Signs = np.sign(levels).astype(np.int8)
    if scales is not None and scales.ndim <= 1:
        signs *= _beside(np.sign(scales).astype(np.int8), levels, rows=rows)
    return signs


def _beside(factors: NDArray[Any], levels: NDArray[np.int16], *, rows: bool) -> NDArray[Any]:
    """Return factors of rows as a column, where they are as many as the rows."""
    return factors[:, None] if rows and factors.ndim == 1 and factors.size == levels.shape[0] > 1 else factors


def _picked(product: ir.Node, inputs: int) -> NDArray[np.int64] | None:
    """Return the rows that a float product beside a layer multiplies: those of its Gather or its Slice."""
    taken = optional_operand(product, 0)
    source = taken.producer() if taken is not None else None
    if source is None or source.op_type not in ("Gather", "Slice"):
        return None
    if source.op_type == "Gather":
        picked = array(optional_operand(source, 1))
        rows = None if picked is None else picked.astype(np.int64).reshape(-1)
    else:
        begin, end = (array(optional_operand(source, index)) for index in (1, 2))
        if begin is None or end is None or begin.size != 1 or end.size != 1:
            return None
        rows = np.arange(int(begin.item()), min(int(end.item()), inputs), dtype=np.int64)
    if rows is None or not len(rows) or rows.min() < 0 or rows.max() >= inputs:
        return None
    return rows


def _stored_table(
    node: ir.Node, looked: ir.Value | None
) -> tuple[ir.Value | None, NDArray[np.generic] | None]:
    """Return a table as it is stored and its one zero point; what has it stands before the lookup or after it."""
    before = looked.producer() if looked is not None else None
    point: ir.Value | None = None
    if before is not None and before.op_type == "DequantizeLinear":
        looked, point = before.inputs[0], optional_operand(before, 2)
        levelled = looked.producer() if looked is not None else None
        if levelled is not None and levelled.op_type == "QuantizeLinear" and array(looked) is None:
            return levelled.inputs[0], None
    elif node.op_type == "Gather":
        # In both, an operand is followed by its scale and its zero point.
        after = [use for use in node.outputs[0].uses() if use.node.op_type in _TAKE_LEVELS]
        point = optional_operand(after[0].node, after[0].idx + 2) if after else None
    zeros = array(point)
    return looked, zeros if zeros is not None and zeros.size == 1 else None
