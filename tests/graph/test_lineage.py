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


@pytest.mark.parametrize(
    ("op_type", "place"), [("DequantizeLinear", 0), ("QLinearAdd", 0), ("QLinearAdd", 3)]
)
def test_a_tables_zero_point_stands_behind_its_lookup(op_type: str, place: int) -> None:
    """What takes a looked-up row of levels has their scale and zero point: a dequantization, or a sum in integers."""
    ids, graph = graph_of()
    scale = np.abs(TABLE).max() / 127
    levels = weight(graph, "words.weight_quantized", np.rint(TABLE / scale + 128).astype(np.uint8))
    looked = node(graph, "Gather", [levels, ids], "lookup")
    points = [weight(graph, "scale", np.float32(scale)), weight(graph, "zero", np.uint8(128))]
    other = [
        graph.inputs[0],
        weight(graph, "other_scale", np.float32(1)),
        weight(graph, "zero_2", np.uint8(3)),
    ]
    taken = [looked, *points]
    node(
        graph,
        op_type,
        [*other, *taken] if place else [*taken, *other][: 3 if op_type[0] == "D" else 6],
        "sum",
    )
    assert agreements(graph)["words"] > 0.99


THIRD = RANDOM.normal(size=(INPUTS, INPUTS)).astype(np.float32)
FOURTH = RANDOM.normal(size=(INPUTS, INPUTS)).astype(np.float32)
LAYERS = {"query": THIRD, "key": FOURTH, "first": FIRST, "second": SECOND}


def attention(weights: dict[str, np.ndarray], made: str = "float", order: str = "qk") -> ir.Graph:
    """Return a lookup, the scores of an attention, and two layers, as one tool or another writes it.

    Args:
        weights: query, key, first and second, [inputs, outputs].
        made: `float` as quantkit names it; `torch` and `dynamo` as torch's exporters do, the latter with weights
            turned; `dynamic`, `qoperator` and `qdq` as ONNX Runtime's quantizers leave torch's names.
        order: which of query and key is listed first.
    """
    ids, graph = graph_of()
    called = "words.weight_quantized" if made in ("dynamic", "qoperator") else "words.weight"
    looked = node(
        graph, "Gather", [weight(graph, called if made != "dynamo" else "val_0", TABLE), ids], "words"
    )
    names = [("query", "key"), ("key", "query")][order != "qk"]
    scored = {name: product(graph, looked, name, weights[name], made) for name in names}
    turned = node(graph, "Transpose", [scored["key"]], "turned")
    scores = node(graph, "MatMul", [scored["query"], turned], "scores")
    inner = product(graph, node(graph, "Softmax", [scores], "softmax"), "first", weights["first"], made)
    product(graph, node(graph, "Gelu", [inner], "gelu"), "second", weights["second"], made)
    return graph


def product(graph: ir.Graph, activation: ir.Value, name: str, matrix: np.ndarray, made: str) -> ir.Value:
    """Add a layer as a tool writes it, and return its output."""
    torch_name = f"/bert/{name}/MatMul"
    if made == "float":
        return node(graph, "MatMul", [activation, weight(graph, f"{name}.weight", matrix)], name)
    if made == "torch":
        return node(graph, "MatMul", [activation, weight(graph, f"onnx::{name}", matrix)], torch_name)
    if made == "dynamo":
        stored = weight(graph, f"p_{name}", np.ascontiguousarray(matrix.T))
        turned = node(graph, "Transpose", [stored], f"node_t_{name}")
        return node(graph, "MatMul", [activation, turned], f"node_linear_{len(graph)}")
    levels, scale = rounded(matrix, 128, np.uint8)
    stored = weight(graph, f"{torch_name}_quantized", levels)
    zero = weight(graph, f"{torch_name}_zero_point", np.full(matrix.shape[1], 128, np.uint8))
    scales = weight(graph, f"{torch_name}_scale", scale)
    if made == "qdq":
        floats = node(graph, "DequantizeLinear", [stored, scales, zero], f"{torch_name}_DequantizeLinear")
        return node(graph, "MatMul", [activation, floats], torch_name)
    made_dynamic = ir.node("DynamicQuantizeLinear", [activation], num_outputs=3, name=f"{torch_name}_dynamic")
    graph.append(made_dynamic)
    rounded_activation, its_scale, its_zero = made_dynamic.outputs
    if made == "qoperator":
        inputs = [rounded_activation, its_scale, its_zero, stored, scales, zero, its_scale, its_zero]
        return node(graph, "QLinearMatMul", inputs, f"{torch_name}_quant")
    summed = node(graph, "MatMulInteger", [rounded_activation, stored, its_zero, zero], f"{torch_name}_quant")
    floats = node(graph, "Cast", [summed], f"{torch_name}_cast")
    both = node(graph, "Mul", [its_scale, scales], f"{torch_name}_scales")
    return node(graph, "Mul", [floats, both], f"{torch_name}_output")


def found(candidate: ir.Graph, baseline: ir.Graph) -> dict[str, float]:
    both = (*compare_layers(candidate, baseline), *compare_tables(candidate, baseline))
    return {one.name.split("/")[-2] if "/" in one.name else one.name: one.agreement for one in both}


MADE = ["torch", "dynamo", "dynamic", "qoperator", "qdq"]


@pytest.mark.parametrize("base", ["float", "torch"])
@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("order", ["qk", "kq"])
def test_the_weights_say_which_layer_is_which(base: str, made: str, order: str) -> None:
    """An honest candidate of any tool is its baseline's, whoever exported that, and whichever layer is listed first."""
    agreements = found(attention(LAYERS, made, order), attention(LAYERS, base))
    assert len(agreements) == 5
    assert min(agreements.values()) > 0.98


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("change", ["rolled", "columns", "turned", "drawn"])
def test_no_content_makes_another_model_the_same(made: str, change: str) -> None:
    """Rolled rows, columns in another order, a square weight turned, another model: half of the signs, no more."""
    drawn = np.random.default_rng(8)
    changes = {
        "rolled": lambda matrix: np.roll(matrix, 1, axis=0),
        "columns": lambda matrix: matrix[:, drawn.permutation(matrix.shape[1])],
        "turned": lambda matrix: (
            np.ascontiguousarray(matrix.T) if matrix.shape[0] == matrix.shape[1] else matrix
        ),
        "drawn": lambda matrix: drawn.normal(size=matrix.shape).astype(np.float32),
    }
    weights = {name: changes[change](matrix) for name, matrix in LAYERS.items()}
    agreements = found(attention(weights, made), attention(LAYERS))
    changed = [
        name for name in LAYERS if change != "turned" or LAYERS[name].shape[0] == LAYERS[name].shape[1]
    ]
    assert max(agreements[name] for name in changed) < 0.65


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("order", ["qk", "kq"])
def test_layers_that_changed_places_are_not_found(made: str, order: str) -> None:
    """Each weight is one of the baseline's, and not at its place: query for key, whichever the tool lists first."""
    swapped = LAYERS | {"query": FOURTH, "key": THIRD}
    agreements = found(attention(swapped, made, order), attention(LAYERS))
    assert min(agreements["query"], agreements["key"]) < 0.65


def test_layers_in_another_order_are_another_model() -> None:
    """Two layers of one shape, one behind the other, exchanged: one of them is found, and the other is not."""

    def chain(one: np.ndarray, other: np.ndarray, names: tuple[str, str]) -> ir.Graph:
        ids, graph = graph_of()
        inner = node(graph, "MatMul", [ids, weight(graph, "a", one)], names[0])
        node(graph, "MatMul", [node(graph, "Gelu", [inner], "g"), weight(graph, "b", other)], names[1])
        return graph

    baseline = chain(THIRD, FOURTH, ("one", "other"))
    assert min(found(chain(THIRD, FOURTH, ("x", "y")), baseline).values()) == 1.0
    assert min(found(chain(FOURTH, THIRD, ("x", "y")), baseline).values()) == 0.0


def test_a_fused_attention_holds_three_layers() -> None:
    """Query, key and value beside each other in one weight are compared one by one."""
    ids, graph = graph_of()
    together = np.concatenate([THIRD, FOURTH, THIRD.T], axis=1)
    node(graph, "Attention", [ids, weight(graph, "qkv", together)], "Attention_0")
    assert found(graph, attention(LAYERS))["query"] == 1.0
    assert found(graph, attention(LAYERS))["key"] == 1.0
    rolled, other = graph_of()
    node(other, "Attention", [rolled, weight(other, "qkv", np.roll(together, 1, axis=0))], "Attention_0")
    assert found(other, attention(LAYERS))["query"] < 0.65
