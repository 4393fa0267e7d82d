"""Whether two models come of one checkpoint, from their weights alone.

What quantkit does to a weight keeps the sign of its entries: rounding to levels (but for what rounds to zero),
smoothing, which multiplies rows and columns by positive factors, and channels that are copied with a part of their
weights each. So each linear layer and embedding table of the baseline is compared with the one of its name in the
candidate: the share of the baseline's larger half of entries that have the same sign there. Entries that are zero in
the candidate do not agree. Weights that have nothing to do with each other agree in half of their signs; so do those
of one model whose rows were put in another order.

1. A layer is the MatMul, Gemm, MatMulInteger, MatMulIntegerToFloat, QLinearMatMul or MatMulNBits of its name, its
   weight a constant, in float or behind DequantizeLinear. ONNX Runtime's own quantizers end names with `_quant`, and
   those of tables with `_quantized`; that is the same name.
2. Rows and columns beyond the baseline's are copies of channels, and are left out.
3. Rows at zero whose product is computed in float beside it (`<layer>.outliers`) are taken from there.
4. Between two layers the order of channels is free. Where the columns of a layer do not agree as they stand, each is
   compared with the baseline's column that it resembles most; the rows of the next layer must then be in that order.
   An order that no next layer shares is none.
5. A layer or table that is not there, or has fewer rows or columns, agrees in nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quantkit.graph.linear import embedding_tables, linear_layers
from quantkit.graph.pattern import constant, int_attribute, optional_operand
from quantkit.records import WeightAgreement

Signs = NDArray[np.int8]
Order = NDArray[np.intp]

_NONE = 99
# Operator → (its weight, the weight's scales, the weight's zero points) among its inputs.
_PRODUCTS: Mapping[str, tuple[int, int, int]] = {
    "MatMul": (1, _NONE, _NONE),
    "Gemm": (1, _NONE, _NONE),
    "MatMulInteger": (1, _NONE, 3),
    "MatMulIntegerToFloat": (1, 3, 5),
    "QLinearMatMul": (3, 4, 5),
}
# Below it the columns of a layer are tried in another order: far from what rounding does to signs.
_IN_PLACE = 0.8
_OUTLIERS = ".outliers"
# What ONNX Runtime's quantizers add to the name of a layer and of a table.
_THEIR_LAYER, _THEIR_TABLE = "_quant", "_quantized"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compared:
    """A layer's agreement, and the order of its columns when it is not the baseline's."""

    agreement: float
    entries: int
    columns: Order | None = None


def compare_layers(candidate: ir.Graph, baseline: ir.Graph) -> tuple[WeightAgreement, ...]:
    """Return how far every linear layer of the baseline is that of its name in the candidate, in graph order."""
    nodes = {node.name: node for node in candidate if node.name}
    layers = linear_layers(baseline)
    found: list[WeightAgreement] = []
    order: Order | None = None
    for number, layer in enumerate(layers):
        node = nodes.get(layer.name) or nodes.get(f"{layer.name}{_THEIR_LAYER}")
        signs = _signs_of(node, nodes)
        last = number + 1 == len(layers)
        free = not last and layers[number + 1].shape[0] == layer.shape[1]
        compared = _compare(layer.matrix(), signs, order, reorder=free)
        order = compared.columns
        found.append(WeightAgreement(name=layer.name, agreement=compared.agreement, entries=compared.entries))
    return tuple(found)


def compare_tables(candidate: ir.Graph, baseline: ir.Graph) -> tuple[WeightAgreement, ...]:
    """Return how far every embedding table of the baseline is that of its name in the candidate, by first use."""
    stored = dict(_looked_up(candidate))
    found = []
    for name, matrix in _float_tables(baseline):
        compared = _compare(matrix, stored.get(name), None, reorder=False)
        found.append(WeightAgreement(name=name, agreement=compared.agreement, entries=compared.entries))
    return tuple(found)


def _compare(
    matrix: NDArray[np.float32], signs: Signs | None, rows: Order | None, *, reorder: bool
) -> _Compared:
    """Compare a weight of the baseline [inputs, outputs] with the signs of the candidate's.

    Args:
        matrix: the baseline's.
        signs: the candidate's, -1, 0 or 1; None: it is not there.
        rows: candidate's row → the baseline's; None: as they stand.
        reorder: whether the columns may be in another order.
    """
    inputs, outputs = matrix.shape
    if rows is not None and signs is not None:
        signs = _taken(signs, rows, inputs)
    if signs is None or signs.shape[0] < inputs or signs.shape[1] < outputs:
        return _Compared(agreement=0.0, entries=0)
    signs = signs[:inputs]
    reference = np.sign(matrix).astype(np.int8)
    large = reference * _larger_half(matrix)
    entries = int(np.count_nonzero(large))
    as_it_stands = _share(large, signs[:, :outputs])
    if as_it_stands >= _IN_PLACE or not reorder:
        return _Compared(agreement=as_it_stands, entries=entries)
    columns = _nearest_columns(reference, signs)
    agreement = _share(large, _taken(signs.T, columns, outputs).T)
    if agreement < as_it_stands:
        return _Compared(agreement=as_it_stands, entries=entries)
    return _Compared(agreement=agreement, entries=entries, columns=columns)


def _taken(signs: Signs, order: Order, count: int) -> Signs:
    """Return the candidate's rows in the order of the baseline's, the first of those that are there twice.

    Args:
        signs: of the candidate, [rows, anything].
        order: candidate's row → the baseline's.
        count: how many rows the baseline has; those that no row of the candidate stands for are zero.
    """
    found = np.zeros((count, signs.shape[1]), np.int8)
    rows = min(len(order), len(signs))
    found[order[:rows][::-1]] = signs[:rows][::-1]
    return found


def _larger_half(matrix: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which entries are of the larger half by magnitude, zeros never."""
    size = np.abs(matrix)
    found: NDArray[np.bool_] = (size >= np.median(size)) & (size > 0)
    return found


def _share(reference: Signs, signs: Signs) -> float:
    """Return the share of the reference's entries, zeros left out, that have the same sign."""
    counted = int(np.count_nonzero(reference))
    return float(np.count_nonzero((reference == signs) & (reference != 0)) / counted) if counted else 1.0


def _nearest_columns(reference: Signs, signs: Signs) -> Order:
    """Return, for every column of the candidate, the baseline's that has most signs in common with it."""
    likeness = signs.T.astype(np.float32) @ reference.astype(np.float32)
    found: Order = np.argmax(likeness, axis=1)
    return found


def _signs_of(node: ir.Node | None, nodes: Mapping[str, ir.Node]) -> Signs | None:
    """Return the signs of a layer's weight [inputs, outputs], with the rows that are multiplied apart."""
    if node is None:
        return None
    signs = _blocks(node) if node.op_type == "MatMulNBits" else _plain(node)
    apart = nodes.get(f"{node.name}{_OUTLIERS}")
    if signs is None or apart is None:
        return signs
    picked, beside = _picked(apart, signs.shape[0]), _plain(apart)
    if picked is None or beside is None or beside.shape != (len(picked), signs.shape[1]):
        return signs
    whole = signs.copy()
    whole[picked] = beside
    return whole


def _plain(node: ir.Node) -> Signs | None:
    """Return the signs of the weight of a product."""
    if node.op_type not in _PRODUCTS:
        return None
    place, scale, zero = _PRODUCTS[node.op_type]
    weight = optional_operand(node, place)
    dequantize = weight.producer() if weight is not None else None
    if dequantize is not None and dequantize.op_type == "DequantizeLinear":
        values, scales, zeros = (_array(optional_operand(dequantize, index)) for index in range(3))
    else:
        values = _array(weight)
        scales, zeros = (
            _array(optional_operand(node, index)) if index is not None else None for index in (scale, zero)
        )
    signs = _levels(values, scales, zeros)
    if signs is None:
        return None
    return _turned(signs) if node.op_type == "Gemm" and int_attribute(node, "transB", 0) else signs


def _blocks(node: ir.Node) -> Signs | None:
    """Return the signs of a block-wise weight of 8 bits: uint8 [outputs, blocks, block size], zero point 128."""
    values = _array(optional_operand(node, 1))
    if values is None or values.dtype != np.uint8 or int_attribute(node, "bits", 4) != 8:
        return None
    inputs, outputs = node.attributes["K"].as_int(), node.attributes["N"].as_int()
    flat = values.reshape(outputs, -1)[:, :inputs].astype(np.int16) - 128
    return _turned(np.sign(flat).astype(np.int8))


def _turned(signs: Signs) -> Signs:
    return signs.T


def _levels(
    values: NDArray[np.generic] | None,
    scales: NDArray[np.generic] | None,
    zeros: NDArray[np.generic] | None,
) -> Signs | None:
    """Return the signs of what levels stand for; of integers their scales' signs count too."""
    if values is None or values.ndim != 2:
        return None
    if values.dtype.kind == "f":
        floats: Signs = np.sign(values).astype(np.int8)
        return floats
    levels = values.astype(np.int16)
    if zeros is not None:
        levels = levels - zeros.astype(np.int16)
    signs: Signs = np.sign(levels).astype(np.int8)
    if scales is not None and scales.ndim <= 1:
        signs *= np.sign(scales).astype(np.int8)
    return signs


def _picked(product: ir.Node, inputs: int) -> NDArray[np.int64] | None:
    """Return the rows that a float product beside a layer multiplies: those of its Gather or its Slice."""
    taken = optional_operand(product, 0)
    source = taken.producer() if taken is not None else None
    if source is None or source.op_type not in ("Gather", "Slice"):
        return None
    if source.op_type == "Gather":
        picked = _array(optional_operand(source, 1))
        rows = None if picked is None else picked.astype(np.int64).reshape(-1)
    else:
        begin, end = (_array(optional_operand(source, index)) for index in (1, 2))
        if begin is None or end is None or begin.size != 1 or end.size != 1:
            return None
        rows = np.arange(int(begin.item()), min(int(end.item()), inputs), dtype=np.int64)
    if rows is None or not len(rows) or rows.min() < 0 or rows.max() >= inputs:
        return None
    return rows


def _float_tables(graph: ir.Graph) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield name → float table of Gather and EmbedLayerNormalization."""
    for table in embedding_tables(graph):
        assert table.weight.const_value is not None
        yield table.name, table.weight.const_value.numpy()
    for node in graph:
        if node.op_type == "EmbedLayerNormalization":
            for value in node.inputs[2:5]:
                array = _array(value)
                if value is not None and array is not None and array.dtype == np.float32:
                    yield (value.name or "").removesuffix(".weight"), np.asarray(array, np.float32)


def _looked_up(graph: ir.Graph) -> Iterator[tuple[str, Signs]]:
    """Yield name → signs of every table that rows are looked up in: in float, or in integers of positive scales."""
    for node in graph:
        if node.op_type == "EmbedLayerNormalization":
            inputs = node.inputs[2:5]
        elif node.op_type == "Gather":
            inputs = node.inputs[:1]
        else:
            continue
        for looked in inputs:
            value, zeros = _stored_table(node, looked)
            signs = _levels(_array(value), None, zeros)
            if value is not None and signs is not None:
                name = (value.name or "").removesuffix("_int8").removesuffix(_THEIR_TABLE)
                yield name.removesuffix(".weight"), signs


def _stored_table(
    node: ir.Node, looked: ir.Value | None
) -> tuple[ir.Value | None, NDArray[np.generic] | None]:
    """Return a table as it is stored and its one zero point; DequantizeLinear is before the lookup or after it."""
    before = looked.producer() if looked is not None else None
    dequantize: ir.Node | None
    if before is not None and before.op_type == "DequantizeLinear":
        looked, dequantize = before.inputs[0], before
    else:
        after = [use.node for use in node.outputs[0].uses() if use.node.op_type == "DequantizeLinear"]
        dequantize = after[0] if node.op_type == "Gather" and after else None
    zeros = _array(optional_operand(dequantize, 2)) if dequantize is not None else None
    return looked, zeros if zeros is not None and zeros.size == 1 else None


def _array(value: ir.Value | None) -> NDArray[np.generic] | None:
    tensor = constant(value)
    return None if tensor is None else tensor.numpy()
