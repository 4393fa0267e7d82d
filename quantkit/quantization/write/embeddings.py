"""Embedding tables in INT8: one scale per row, rows dequantized after the lookup.

Gather(int8 table, ids) → Cast → Mul(Gather(scales, ids)). EmbedLayerNormalization has no kernel for this, so it is
first opened into lookups, additions and the LayerNormalization it is made of.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from quantkit.graph.constants import add_initializer
from quantkit.graph.edits import insert_before
from quantkit.graph.linear import Table
from quantkit.quantization.affine import quantize_rows


def quantize_tables(model: ir.Model, tables: Sequence[Table]) -> None:
    """Rewrite every lookup in `tables` in place.

    Raises:
        QuantizationError: an entry is NaN or infinite.
    """
    graph = model.graph
    for table in tables:
        assert table.weight.const_value is not None
        rows = quantize_rows(table.weight.const_value.numpy(), name=table.name)
        values = add_initializer(graph, f"{table.name}.weight_int8", rows.values)
        scales = add_initializer(graph, f"{table.name}.weight_scale", rows.scales[:, None])
        for index, gather in enumerate(table.nodes):
            name = f"{table.name}.lookup{index or ''}"
            ids = gather.inputs[1]
            row = insert_before(graph, gather, "Gather", [values, ids], name=name)
            cast = insert_before(
                graph,
                gather,
                "Cast",
                [row.outputs[0]],
                name=f"{name}.cast",
                attributes={"to": int(ir.DataType.FLOAT)},
            )
            scale = insert_before(graph, gather, "Gather", [scales, ids], name=f"{name}.scale")
            result = insert_before(
                graph, gather, "Mul", [cast.outputs[0], scale.outputs[0]], name=f"{name}.rescale"
            )
            ir.convenience.replace_all_uses_with(gather.outputs[0], result.outputs[0])
            graph.remove(gather, safe=True)


def open_embed_layer_norm(model: ir.Model) -> int:
    """Replace EmbedLayerNormalization by lookups, Add and SkipLayerNormalization; return how many there were.

    com.microsoft EmbedLayerNormalization(input_ids, segment_ids?, word, position, segment?, gamma, beta, mask?,
    position_ids?) computes LayerNorm(word[ids] + position[positions] + segment[segments]); positions default to
    0, 1, 2, … of the sequence axis.
    """
    graph = model.graph
    nodes = [node for node in graph if node.op_type == "EmbedLayerNormalization"]
    for node in nodes:
        _open(graph, node)
    return len(nodes)


def _open(graph: ir.Graph, node: ir.Node) -> None:
    inputs = [*node.inputs, *[None] * (9 - len(node.inputs))]
    input_ids, segment_ids, word, position, segment, gamma, beta, _, position_ids = inputs
    assert input_ids is not None
    name = node.name or "embeddings"
    if position_ids is None:
        position_ids = _positions(graph, node, input_ids, name)
    terms = [_lookup(graph, node, word, input_ids), _lookup(graph, node, position, position_ids)]
    if segment is not None and segment_ids is not None:
        added = insert_before(
            graph, node, "Add", [terms[0], _lookup(graph, node, segment, segment_ids)], name=f"{name}.add"
        )
        terms[0] = added.outputs[0]
    # The positions may be one row for the whole batch; SkipLayerNormalization broadcasts a [1, sequence, hidden] skip.
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-12
    norm = ir.node(
        "SkipLayerNormalization",
        [terms[0], terms[1], gamma, beta],
        attributes={"epsilon": epsilon},
        domain="com.microsoft",
        name=f"{name}.layer_norm",
    )
    norm.outputs[0].name = f"{name}.layer_norm_output"
    graph.insert_before(node, norm)
    ir.convenience.replace_all_uses_with(node.outputs[0], norm.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _lookup(graph: ir.Graph, anchor: ir.Node, table: ir.Value | None, ids: ir.Value) -> ir.Value:
    """Insert the Gather of one table, named after it."""
    assert table is not None
    assert table.name is not None
    path = table.name.removesuffix(".weight")
    return insert_before(graph, anchor, "Gather", [table, ids], name=path).outputs[0]


def _positions(graph: ir.Graph, anchor: ir.Node, input_ids: ir.Value, name: str) -> ir.Value:
    """Insert 0, 1, 2, … as int64 [1, sequence]."""
    one = add_initializer(graph, f"{name}.one", np.asarray(1, np.int64))
    zero = add_initializer(graph, f"{name}.zero", np.asarray(0, np.int64))
    axis = add_initializer(graph, f"{name}.axis", np.asarray([0], np.int64))
    shape = insert_before(graph, anchor, "Shape", [input_ids], name=f"{name}.shape").outputs[0]
    length = insert_before(graph, anchor, "Gather", [shape, one], name=f"{name}.length").outputs[0]
    steps = insert_before(graph, anchor, "Range", [zero, length, one], name=f"{name}.range").outputs[0]
    return insert_before(graph, anchor, "Unsqueeze", [steps, axis], name=f"{name}.positions").outputs[0]
