"""MultiHeadAttention: the cases of its docstring, and the proof of the mask."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantkit.graph.fusion.multi_head_attention import MultiHeadAttention
from quantkit.graph.parity import MASKS, padding_mask

HIDDEN, HEADS, SIZE = 12, 3, 4
INPUTS = "float[B,S,12] x, int64[B,S] attention_mask"
PARTS = {"q": "query", "k": "key", "v": "value"}
LOWEST = np.finfo(np.float32).min

# The pieces of an attention; a test replaces one of them.
PIECES = {
    "query": "q0 = MatMul(x, wq) q1 = Add(q0, bq)",
    "key": "k0 = MatMul(x, wk) k1 = Add(bk, k0)",
    "value": "v0 = MatMul(x, wv) v1 = Add(v0, bv)",
    "split query": "q2 = Reshape(q1, split) q = Transpose <perm = [0, 2, 1, 3]> (q2)",
    "split key": "k2 = Reshape(k1, split) k = Transpose <perm = [0, 2, 3, 1]> (k2)",
    "split value": "v2 = Reshape(v1, split) v = Transpose <perm = [0, 2, 1, 3]> (v2)",
    "mask": "c = Cast <to = 1> (attention_mask) u = Unsqueeze(c, axes) i = Sub(one, u) mask = Mul(i, lowest)",
    "scores": "s0 = MatMul(q, k) s = Mul(s0, scale)",
    "masked": "t = Add(s, mask)",
    "softmax": "p = Softmax <axis = -1> (t)",
    "mix": "m = MatMul(p, v)",
    "merge": "m1 = Transpose <perm = [0, 2, 1, 3]> (m) y = Reshape(m1, merge)",
}


def attention(bench: Any, inputs: str = INPUTS, outputs: str = "float[B,S,H] y", **changes: str) -> Any:
    pieces = {**PIECES, **{name.replace("_", " "): text for name, text in changes.items()}}
    model = bench.parse(
        f"g ({inputs}) => ({outputs}) {{ {' '.join(pieces.values())} }}",
        {
            **{f"w{name}": bench.normal(HIDDEN, HIDDEN, seed=number) for number, name in enumerate("qkv")},
            **{f"b{name}": bench.normal(HIDDEN, seed=number) for number, name in enumerate("qkv")},
            "wide": bench.normal(HIDDEN, 2 * HIDDEN, seed=9),
            "bwide": bench.normal(2 * HIDDEN, seed=8),
            "split": np.array([0, 0, HEADS, SIZE]),
            "split6": np.array([0, 0, 6, 2]),
            "split_wide": np.array([0, 0, HEADS, 2 * SIZE]),
            "split_swapped": np.array([0, HEADS, -1, SIZE]),
            "merge": np.array([0, 0, HIDDEN]),
            "merge_wide": np.array([0, 0, 2 * HIDDEN]),
            "axes": np.array([1, 2]),
            "axes_of_queries": np.array([1, 3]),
            "last": np.array([-1]),
            "one": np.float32(1),
            "zero": np.int64(0),
            "lowest": np.float32(LOWEST),
            "mild": np.float32(-5),
            "scale": np.float32(SIZE**-0.5),
            "root": np.float32(SIZE**0.5),
            "fourth": np.float32(SIZE**0.25),
            "lower": np.triu(np.full((5, 5), LOWEST, np.float32), 1),
        },
    )
    for node in model.graph:
        if node.op_type == "MatMul" and node.inputs[1].name.startswith("w"):
            letter = node.outputs[0].name[0]
            node.name = f"encoder.layer.3.attention.{PARTS[letter]}"
    return model


def feeds(bench: Any, kind: str = "holes", sequence: int = 5) -> dict[str, np.ndarray]:
    return {
        "x": bench.normal(2, sequence, HIDDEN, seed=7),
        "attention_mask": padding_mask(kind, 2, sequence),
        "token_type_ids": np.zeros((2, sequence), np.int64),
    }


def fused_node(model: Any) -> Any:
    (node,) = (node for node in model.graph if node.op_type == "MultiHeadAttention")
    return node


@pytest.mark.parametrize("kind", MASKS)
def test_fuses_for_every_mask(bench: Any, kind: str) -> None:
    """The fused node takes the raw mask and gives the same result for masks that are not right-padded too."""
    model = attention(bench)
    result = bench.fuse_and_compare(MultiHeadAttention, model, feeds(bench, kind), atol=2e-6)
    assert result.matched == 1
    assert bench.operators(model) == ["Cast", "MatMul", "MatMul", "MatMul", "MultiHeadAttention"]


def test_names_and_inputs(bench: Any) -> None:
    """MatMuls keep their names; the fused node is named after what encloses them; biases are concatenated."""
    model = attention(bench)
    bench.fuse(MultiHeadAttention, model)
    node = fused_node(model)
    names = [entry.name for entry in model.graph if entry.op_type == "MatMul"]
    assert names == [f"encoder.layer.3.attention.{part}" for part in ("query", "key", "value")]
    assert node.name == "encoder.layer.3.attention"
    bias = node.inputs[3]
    assert bias.name == "encoder.layer.3.attention.bias"
    expected = np.concatenate([bench.normal(HIDDEN, seed=number) for number in range(3)])
    np.testing.assert_array_equal(bias.const_value.numpy(), expected)
    assert (
        node.attributes["num_heads"].as_int(),
        node.attributes["scale"].as_float(),
    ) == (HEADS, pytest.approx(SIZE**-0.5))


def test_a_row_without_attended_tokens_stays_finite(bench: Any) -> None:
    """A row whose keys are all hidden gives what the checkpoint gives, not NaN."""
    model = attention(bench)
    inputs = feeds(bench)
    inputs["attention_mask"][0] = 0
    assert bench.fuse_and_compare(MultiHeadAttention, model, inputs, atol=2e-6).matched == 1


@given(
    mask=st.lists(st.lists(st.booleans(), min_size=6, max_size=6).filter(any), min_size=1, max_size=3).map(
        lambda rows: np.array(rows, np.int64)
    )
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_mask_gives_the_same_result(bench: Any, mask: np.ndarray) -> None:
    """Whatever tokens are attended, at least one in each row, fusing changes nothing."""
    model = attention(bench)
    inputs = {"x": bench.normal(*mask.shape, HIDDEN, seed=1), "attention_mask": mask}
    assert bench.fuse_and_compare(MultiHeadAttention, model, inputs, atol=5e-6).matched == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": "s0 = MatMul(q, k) s = Div(s0, root)"},
        {
            "scores": "s = MatMul(q, k)",
            "split_query": "q2 = Reshape(q1, split) q3 = Div(q2, root) "
            "q = Transpose <perm = [0, 2, 1, 3]> (q3)",
        },
        {"scores": "s = MatMul(q, k)", "query": "q0 = MatMul(x, wq) qb = Add(q0, bq) q1 = Mul(scale, qb)"},
        {"scores": "d = Div(q, fourth) e = Div(k, fourth) s = MatMul(d, e)"},
        {"masked": "t = Add(mask, s)"},
        {
            "masked": "f = Equal(attention_mask, zero) h = Unsqueeze(f, axes) t = Where(h, lowest, s)",
            "mask": "",
        },
        {
            "masked": "f = Cast <to = 9> (attention_mask) h = Unsqueeze(f, axes) t = Where(h, s, lowest)",
            "mask": "",
        },
        {
            "split_key": "k2 = Reshape(k1, split) k3 = Transpose <perm = [0, 2, 1, 3]> (k2) "
            "k = Transpose <perm = [0, 1, 3, 2]> (k3)"
        },
        {"key": "k1 = MatMul(x, wk)"},
        {"query": "q1 = MatMul(x, wq)", "key": "k1 = MatMul(x, wk)", "value": "v1 = MatMul(x, wv)"},
        {"masked": "", "softmax": "p = Softmax <axis = -1> (s)", "mask": ""},
        {
            "value": "v0 = MatMul(x, wide) v1 = Add(v0, bwide)",
            "split_value": "v2 = Reshape(v1, split_wide) v = Transpose <perm = [0, 2, 1, 3]> (v2)",
            "merge": "m1 = Transpose <perm = [0, 2, 1, 3]> (m) y = Reshape(m1, merge_wide)",
        },
    ],
    ids=[
        "divided",
        "queries divided",
        "queries times",
        "both divided",
        "mask first",
        "filled",
        "kept",
        "key twice",
        "no key bias",
        "no bias",
        "no mask",
        "wider values",
    ],
)
def test_fuses_every_form(bench: Any, changes: dict[str, str]) -> None:
    """Scale, mask, transposes and biases may be written in the ways the specification lists."""
    model = attention(bench, **changes)
    result = bench.fuse_and_compare(MultiHeadAttention, model, feeds(bench), atol=2e-6)
    assert (result.matched, result.missed) == (1, ())


@pytest.mark.parametrize(
    ("changes", "node", "reason"),
    [
        ({"softmax": "p = Softmax <axis = 2> (t)"}, "Softmax", "is over axis 2"),
        ({"split_query": PIECES["split query"].replace("1, 3", "3, 1")}, "Transpose", "axes"),
        ({"split_value": PIECES["split value"].replace("split", "split6")}, "MatMul", "3, 3 and 6"),
        (
            {"split_query": PIECES["split query"].replace("split", "split_swapped")},
            "Reshape",
            "does not split into",
        ),
        (
            {"merge": "m1 = Transpose <perm = [0, 2, 1, 3]> (m) y = Identity(m1)"},
            "Transpose",
            "followed by Identity",
        ),
        ({"mix": "m2 = MatMul(v, p) m = Identity(m2)"}, "MatMul", "on its right side"),
        (
            {"mask": PIECES["mask"].replace("attention_mask", "token_type_ids")},
            "Add",
            "depends on token_type_ids",
        ),
        ({"mask": "mask = Identity(lower)"}, "Add", "does not depend on attention_mask"),
        (
            {"mask": PIECES["mask"].replace("mask = Mul", "mp = Mul") + " mask = Add(mp, lower)"},
            "Add",
            "cannot be computed alone|does not hide exactly",
        ),
        ({"mask": PIECES["mask"].replace("lowest", "mild")}, "Add", "does not hide exactly"),
        ({"mask": PIECES["mask"].replace("axes", "axes_of_queries")}, "Add", "does not hide exactly"),
        (
            {"mask": PIECES["mask"].replace("i = Sub(one, u)", "i = Identity(u)")},
            "Add",
            "does not hide exactly",
        ),
        ({"masked": "n = Neg(s) t = Add(n, mask)"}, "Add", "neither of its operands"),
    ],
)
def test_says_why_it_did_not_match(bench: Any, changes: dict[str, str], node: str, reason: str) -> None:
    """A near-miss names the layer, the node at which matching stopped, and the reason; the graph stays."""
    model = attention(bench, inputs=f"{INPUTS}, int64[B,S] token_type_ids", outputs="float y", **changes)
    result = MultiHeadAttention()(model)
    assert result.matched == 0
    (miss,) = result.missed
    assert miss.anchor == "encoder.layer.3.attention"
    assert miss.node.startswith(node)
    assert any(part in miss.reason for part in reason.split("|")), miss.reason
    assert "MultiHeadAttention" not in bench.operators(model)


@pytest.mark.parametrize("value", ["s", "p", "q", "v2", "k1", "m"])
def test_does_not_hide_what_others_read(bench: Any, value: str) -> None:
    """Scores, probabilities and everything else in between stay when something outside reads them."""
    model = attention(bench, outputs="float[B,S,H] y, float z", merge=f"{PIECES['merge']} z = Neg({value})")
    result = MultiHeadAttention()(model)
    assert result.matched == 0
    assert "Neg" in result.missed[0].reason


def test_does_not_hide_an_output_of_the_graph(bench: Any) -> None:
    """Probabilities that the graph returns stay."""
    model = attention(bench, outputs="float[B,S,H] y, float p")
    assert MultiHeadAttention()(model).matched == 0
