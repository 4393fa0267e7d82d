"""Whether two models come of one checkpoint, from their weights alone.

What quantkit does to a weight keeps the sign of its entries: rounding to levels (but for what rounds to zero),
smoothing, which multiplies rows and columns by positive factors, and channels that are copied with a part of their
weights each. So each linear layer and embedding table of the baseline is compared with the one of its name in the
candidate: the share of the baseline's larger half of entries that have the same sign there. Entries that are zero in
the candidate do not agree. Weights that have nothing to do with each other agree in half of their signs; so do those
of one model whose rows were put in another order.

1. A layer is the product of its name, its weight a constant, in float or in integers. ONNX Runtime's own quantizers end
   names with `_quant`, and those of tables with `_quantized`; that is the same name.
2. Rows and columns beyond the baseline's are copies of channels, and are left out.
3. Rows at zero whose product is computed in float beside it (`<layer>.outliers`) are taken from there.
4. Between two layers the order of channels is free. Where the columns of a layer do not agree as they stand, each is
   compared with the baseline's column that it resembles most; the rows of the next layer must then be in that order.
   An order that no next layer shares is none.
5. Where names say nothing, as between models that different exporters wrote, content does: a weight of the baseline
   is the first of its shape in the candidate with 0.9 of its signs, after the one that stands for the weight before it.
   Order is that of the graphs, and of query, key and value what they are for. No rows or columns change place here.
6. A layer or table that is not there, or has fewer rows or columns, agrees in nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quantkit.graph.layer_order import in_order
from quantkit.graph.linear import embedding_tables, linear_layers
from quantkit.graph.weight_signs import Signs, all_signs, array, layer_signs, looked_up
from quantkit.records import WeightAgreement

Order = NDArray[np.intp]

# Below it the columns of a layer are tried in another order: far from what rounding does to signs.
_IN_PLACE = 0.8
# From here on a weight is the baseline's: strangers agree in about half of their signs.
_FOUND = 0.9
_SAMPLE = 64  # rows and columns, at least, of what is looked at first
# What ONNX Runtime's quantizers add to the name of a layer.
_THEIR_LAYER = "_quant"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compared:
    """A layer's agreement, and the order of its columns when it is not the baseline's."""

    agreement: float
    entries: int
    columns: Order | None = None


def compare_layers(candidate: ir.Graph, baseline: ir.Graph) -> tuple[WeightAgreement, ...]:
    """Return how far every linear layer of the baseline is that of its name in the candidate, in graph order.

    Where names say nothing, the weights themselves say which layer is which; see the module's docstring.
    """
    nodes = {node.name: node for node in candidate if node.name}
    layers = linear_layers(baseline)
    found: list[_Compared] = []
    taken: set[ir.Node] = set()
    order: Order | None = None
    for number, layer in enumerate(layers):
        node = nodes.get(layer.name) or nodes.get(f"{layer.name}{_THEIR_LAYER}")
        last = number + 1 == len(layers)
        free = not last and layers[number + 1].shape[0] == layer.shape[1]
        compared = _compare(layer.matrix(), layer_signs(node, nodes), order, reorder=free)
        order = compared.columns
        found.append(compared)
        if node is not None and compared.agreement >= _FOUND:
            taken.add(node)
    # What follows a layer whose columns are in another order must follow that order: content alone would not tell.
    bound = {number + 1 for number, compared in enumerate(found) if compared.columns is not None}
    missed = [
        number for number, compared in enumerate(found) if compared.agreement < _FOUND and number not in bound
    ]
    if missed:
        stored = [(node, signs) for node, signs in all_signs(candidate, nodes) if node not in taken]
        ours = [missed[place] for place in in_order([layers[number].node for number in missed])]
        theirs = [stored[place][1] for place in in_order([node for node, _ in stored])]
        matched = _follow([layers[number].matrix() for number in ours], theirs)
        for number, signs in zip(ours, matched, strict=True):
            found[number] = _better(
                found[number], _compare(layers[number].matrix(), signs, None, reorder=False)
            )
    return _named([layer.name for layer in layers], found)


def compare_tables(candidate: ir.Graph, baseline: ir.Graph) -> tuple[WeightAgreement, ...]:
    """Return how far every embedding table of the baseline is the candidate's, by name and else by content."""
    named = dict(looked_up(candidate))
    tables = list(_float_tables(baseline))
    found = [_compare(matrix, named.get(name), None, reorder=False) for name, matrix in tables]
    kept = {name for (name, _), compared in zip(tables, found, strict=True) if compared.agreement >= _FOUND}
    stored = [signs for name, signs in named.items() if name not in kept]
    for number, (_, matrix) in enumerate(tables):
        if found[number].agreement < _FOUND and (place := _nearest(matrix, stored)) is not None:
            found[number] = _better(found[number], _compare(matrix, stored.pop(place), None, reorder=False))
    return _named([name for name, _ in tables], found)


def _named(names: Sequence[str], found: Sequence[_Compared]) -> tuple[WeightAgreement, ...]:
    return tuple(
        WeightAgreement(name=name, agreement=compared.agreement, entries=compared.entries)
        for name, compared in zip(names, found, strict=True)
    )


def _better(one: _Compared, other: _Compared) -> _Compared:
    return other if other.agreement > one.agreement else one


def _follow(matrices: Sequence[NDArray[np.float32]], stored: Sequence[Signs]) -> list[Signs | None]:
    """Return for every weight of the baseline which of the candidate's it is: both in the order of their graphs.

    One of the candidate stands for one of the baseline, and what stands for a later one comes later. So a model whose
    layers are in another order is another model, though each of its weights is one of the baseline's.
    """
    found: list[Signs | None] = []
    begin = 0
    for matrix in matrices:
        large = _large_signs(matrix)
        places = (place for place in range(begin, len(stored)) if _agreement(large, stored[place]) >= _FOUND)
        place = next(places, None)
        found.append(None if place is None else stored[place])
        begin = begin if place is None else place + 1
    return found


def _nearest(matrix: NDArray[np.float32], stored: Sequence[Signs]) -> int | None:
    """Return which of the candidate's tables agrees most; None when none has this shape."""
    large = _large_signs(matrix)
    agreements = [_agreement(large, signs) for signs in stored]
    best = max(range(len(stored)), key=agreements.__getitem__, default=None)
    return best if best is not None and agreements[best] > 0 else None


def _agreement(large: Signs, signs: Signs) -> float:
    """Return the agreement with the larger entries of a weight; of strangers, that of a sample; 0 of another shape."""
    if large.shape != signs.shape:
        return 0.0
    rows, columns = (max(1, size // _SAMPLE) for size in large.shape)
    sampled = _share(large[::rows, ::columns], signs[::rows, ::columns])
    return sampled if sampled < _IN_PLACE else _share(large, signs)


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
    reference, large = np.sign(matrix).astype(np.int8), _large_signs(matrix)
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


def _large_signs(matrix: NDArray[np.float32]) -> Signs:
    """Return the signs of the larger half by magnitude; those of the others are 0."""
    size = np.abs(matrix)
    found: Signs = np.sign(matrix).astype(np.int8) * (size >= np.median(size))
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


def _float_tables(graph: ir.Graph) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield name → float table of Gather and EmbedLayerNormalization."""
    for table in embedding_tables(graph):
        assert table.weight.const_value is not None
        yield table.name, table.weight.const_value.numpy()
    for node in graph:
        if node.op_type == "EmbedLayerNormalization":
            for value in node.inputs[2:5]:
                found = array(value)
                if value is not None and found is not None and found.dtype == np.float32:
                    yield (value.name or "").removesuffix(".weight"), np.asarray(found, np.float32)
