"""Lineage from weights: what quantization does keeps signs, and a stranger agrees in about half of them."""

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.graph.constants import add_initializer
from quantkit.graph.lineage import compare_layers, compare_tables

INPUTS, WIDE, ROWS = 32, 96, 50
RANDOM = np.random.default_rng(7)
FIRST = RANDOM.normal(size=(INPUTS, WIDE)).astype(np.float32)
SECOND = RANDOM.normal(size=(WIDE, INPUTS)).astype(np.float32)
TABLE = RANDOM.normal(size=(ROWS, INPUTS)).astype(np.float32)


def encoder(first: np.ndarray = FIRST, second: np.ndarray = SECOND, table: np.ndarray = TABLE) -> ir.Graph:
    """Return a float graph: a lookup, a layer, a GELU and a layer back."""
    ids, graph = graph_of()
    looked = node(graph, "Gather", [weight(graph, "words.weight", table), ids], "words")
    inner = node(graph, "MatMul", [looked, weight(graph, "first.weight", first)], "first")
    node(
        graph,
        "MatMul",
        [node(graph, "Gelu", [inner], "gelu"), weight(graph, "second.weight", second)],
        "second",
    )
    return graph


def graph_of() -> tuple[ir.Value, ir.Graph]:
    ids = ir.val("ids", dtype=ir.DataType.INT64, shape=["a"])
    return ids, ir.Graph([ids], [], nodes=[], opset_imports={"": 17, "com.microsoft": 1}, name="g")


def weight(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    return add_initializer(graph, name, array)


def node(
    graph: ir.Graph, op_type: str, inputs: list[ir.Value | None], name: str, **attributes: int
) -> ir.Value:
    domain = "com.microsoft" if op_type in ("MatMulIntegerToFloat", "MatMulNBits") else ""
    made = ir.node(op_type, inputs, attributes=attributes, domain=domain, name=name)
    graph.append(made)
    return made.outputs[0]


def rounded(matrix: np.ndarray, zero: int = 0, kind: type = np.int8) -> tuple[np.ndarray, np.ndarray]:
    """Return the levels of a matrix and its scale for each output."""
    scale = np.abs(matrix).max(axis=0) / 127
    return (np.rint(matrix / scale) + zero).astype(kind), scale.astype(np.float32)


def integers(matrix: np.ndarray, zero: int = 0, kind: type = np.int8, *, sign: float = 1.0) -> ir.Graph:
    """Return a graph whose first layer is an integer product."""
    ids, graph = graph_of()
    levels, scale = rounded(matrix, zero, kind)
    zeros = np.full(matrix.shape[1], zero, kind)
    node(
        graph,
        "MatMulIntegerToFloat",
        [
            ids,
            weight(graph, "w", levels),
            weight(graph, "a_scale", np.float32(1)),
            weight(graph, "w_scale", sign * scale),
            None,
            weight(graph, "w_zero", zeros),
        ],
        "first",
    )
    return graph


def agreements(candidate: ir.Graph) -> dict[str, float]:
    baseline = encoder()
    found = (*compare_layers(candidate, baseline), *compare_tables(candidate, baseline))
    return {one.name: one.agreement for one in found}


def test_a_model_agrees_with_itself() -> None:
    """Layers and tables are compared by name, over the larger half of their entries."""
    found = compare_layers(encoder(), encoder())
    assert [(one.name, one.agreement, one.entries) for one in found] == [
        ("first", 1.0, FIRST.size // 2),
        ("second", 1.0, SECOND.size // 2),
    ]
    assert agreements(encoder())["words"] == 1.0


@pytest.mark.parametrize(("zero", "kind"), [(0, np.int8), (128, np.uint8)])
def test_levels_have_the_signs_of_what_they_stand_for(zero: int, kind: type) -> None:
    """INT8 and UINT8 weights around their zero point agree; a negative scale turns every sign, which fits no column."""
    assert agreements(integers(FIRST, zero, kind))["first"] == 1.0
    assert agreements(integers(FIRST, zero, kind, sign=-1.0))["first"] < 0.5


def test_positive_scales_of_rows_and_columns_keep_signs() -> None:
    """Smoothing and folding multiply rows and columns by positive factors: nothing changes."""
    rows = RANDOM.uniform(0.01, 100, (INPUTS, 1)).astype(np.float32)
    columns = RANDOM.uniform(0.01, 100, WIDE).astype(np.float32)
    assert agreements(encoder(FIRST * rows * columns))["first"] == 1.0


@pytest.mark.parametrize("shift", [1, 7])
def test_rolled_rows_are_strangers(shift: int) -> None:
    """The weights of one model with their rows in another order agree in about half of their signs."""
    found = agreements(encoder(np.roll(FIRST, shift, 0), np.roll(SECOND, shift, 0), np.roll(TABLE, shift, 0)))
    assert max(found.values()) < 0.75
    assert min(found.values()) < 0.6


def test_another_model_is_a_stranger() -> None:
    """Weights that were drawn anew agree in half of their signs, also when columns may be in another order."""
    drawn = np.random.default_rng(8)
    found = agreements(encoder(drawn.normal(size=FIRST.shape), drawn.normal(size=SECOND.shape)))
    assert max(found["first"], found["second"]) < 0.8
    assert found["second"] < 0.6


def test_a_layer_that_is_not_there_agrees_in_nothing() -> None:
    """No layer of the baseline is passed over."""
    assert agreements(integers(FIRST)) == {"first": 1.0, "second": 0.0, "words": 0.0}
    assert agreements(encoder(FIRST[:, :-1]))["first"] == 0.0


def test_copies_of_channels_are_left_out() -> None:
    """Columns repeated in one layer, and rows with a part of their weights in the next, are copies."""
    copies = [3, 3, 90]
    first = np.concatenate([FIRST, FIRST[:, copies]], axis=1)
    second = np.concatenate([SECOND, 0.5 * SECOND[copies]])
    assert agreements(encoder(first, second)) == {"first": 1.0, "second": 1.0, "words": 1.0}


def test_channels_in_another_order_on_both_sides_are_the_same() -> None:
    """Between two layers the order of channels is free, when both have the same."""
    order = RANDOM.permutation(WIDE)
    assert agreements(encoder(FIRST[:, order], SECOND[order])) == {"first": 1.0, "second": 1.0, "words": 1.0}


def test_channels_in_another_order_on_one_side_are_not() -> None:
    """Columns in another order, and the rows behind them not, is another function."""
    order = RANDOM.permutation(WIDE)
    assert agreements(encoder(FIRST[:, order], SECOND))["second"] < 0.7


def test_outliers_are_multiplied_beside() -> None:
    """Rows at zero are taken from the float product of the same layer."""
    picked = np.array([0, 5, 31])
    rest = FIRST.copy()
    rest[picked] = 0
    graph = encoder(rest)
    taken = node(graph, "Gather", [graph.inputs[0], weight(graph, "picked", picked)], "taken")
    assert agreements(graph)["first"] < 0.95
    node(graph, "MatMul", [taken, weight(graph, "outliers", FIRST[picked])], "first.outliers")
    assert agreements(graph)["first"] == 1.0


def test_block_wise_weights_are_unpacked() -> None:
    """[outputs, blocks, block size] around 128, filled up at the end, is [inputs, outputs]."""
    ids, graph = graph_of()
    padded = np.zeros((WIDE, 48), np.float32)
    padded[:, :INPUTS] = FIRST.T
    levels = (np.rint(padded / np.abs(FIRST).max() * 127) + 128).astype(np.uint8).reshape(WIDE, 3, 16)
    inputs = [ids, weight(graph, "blocks", levels)]
    node(graph, "MatMulNBits", inputs, "first", K=INPUTS, N=WIDE, bits=8, block_size=16)
    assert agreements(graph)["first"] == 1.0


def test_a_gemm_may_have_its_weight_turned() -> None:
    """[outputs, inputs] of a Gemm is compared as [inputs, outputs]."""
    ids, graph = graph_of()
    node(graph, "Gemm", [ids, weight(graph, "w", np.ascontiguousarray(FIRST.T))], "first", transB=1)
    assert agreements(graph)["first"] == 1.0


def test_tables_in_int8_are_those_of_their_name() -> None:
    """A table of levels is called as the float table is, with _int8 behind it."""
    ids, graph = graph_of()
    levels, _ = rounded(TABLE.T)
    node(graph, "Gather", [weight(graph, "words.weight_int8", np.ascontiguousarray(levels.T)), ids], "lookup")
    assert agreements(graph)["words"] > 0.99
