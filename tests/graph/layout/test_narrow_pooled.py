"""The last layer for the pooled token alone: which operators follow, that numbers stay, and where it stops."""

from collections.abc import Mapping

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest

from quantkit.graph.layout.narrow_pooled import narrow_pooled

pytestmark = pytest.mark.avx2

HIDDEN, ROWS, TOKENS = 16, 3, 7
HEADER = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'
ATTENTION = "mixed = com.microsoft.MultiHeadAttention <num_heads = 2> (q, k, v, , m)"
LAYER = f"""
    h = LayerNormalization <axis = -1> (x, gamma, beta) m = Cast <to = 6> (attention_mask)
    q = MatMul (h, wq) k = MatMul (h, wk) v = MatMul (h, wv) {ATTENTION}
    o = MatMul (mixed, wo) total = Add (o, h) n = LayerNormalization <axis = -1> (total, gamma, beta)
    f = MatMul (n, w1) g = com.microsoft.BiasGelu (f, beta) e = MatMul (g, w2)
    last = com.microsoft.SkipLayerNormalization (e, n, gamma, beta, beta)
"""
POOLED = "token = Gather <axis = 1> (last, zero) p = MatMul (token, wp) y = Tanh (p)"


def weights() -> dict[str, np.ndarray]:
    """Return the weights of the layer and the head."""
    random = np.random.default_rng(0)
    found = {
        name: random.normal(size=(HIDDEN, HIDDEN)).astype(np.float32) * 0.2
        for name in ("wq", "wk", "wv", "wo", "w1", "w2", "wp")
    }
    vectors = {name: random.normal(size=HIDDEN).astype(np.float32) for name in ("gamma", "beta")}
    return {**found, **vectors, "zero": np.asarray(0, np.int64)}


def build(
    body: str, more: Mapping[str, np.ndarray] | None = None, outputs: str = "float[b, k] y"
) -> ir.Model:
    """Return the model of `body`; nodes are named by their output."""
    inputs = f"float[b, s, {HIDDEN}] x, int64[b, s] attention_mask"
    proto = onnx.parser.parse_model(f"{HEADER} g ({inputs}) => ({outputs}) {{ {body} }}")
    for node in proto.graph.node:
        node.name = next(iter(node.output))
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in {**weights(), **(more or {})}.items()
    )
    return ir.from_proto(proto)


def compute(model: ir.Model) -> np.ndarray:
    """Run a model on noise, with rows of several lengths."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, ["CPUExecutionProvider"]
    )
    x = np.random.default_rng(4).normal(size=(ROWS, TOKENS, HIDDEN)).astype(np.float32)
    mask = (np.arange(TOKENS) < [[TOKENS], [4], [2]]).astype(np.int64)
    found: np.ndarray = session.run(["y"], {"x": x, "attention_mask": mask})[0]
    return found


def taken(model: ir.Model) -> list[str]:
    """Return the tensors that one token is taken of, the pooling itself left out."""
    return sorted(
        node.inputs[0].name or ""
        for node in model.graph
        if node.op_type == "Gather" and node.name != "token" and node.inputs[0] is not None
    )


def test_back_to_the_attention() -> None:
    """Queries, output and feed-forward are computed for one token; keys and values for all of them."""
    model = build(LAYER + POOLED)
    before = compute(model)
    assert narrow_pooled(model) == 1
    # The residual and the queries read the same tensor: one Gather.
    assert taken(model) == ["h"]
    np.testing.assert_allclose(compute(model), before, atol=1e-6, rtol=0)


def test_static_layers() -> None:
    """Queries, keys and values that share a quantized tensor: the token is taken of its integers."""
    quantized = "hq = QuantizeLinear (h, s, z) hd = DequantizeLinear (hq, s, z)"
    body = LAYER.replace("q = MatMul (h,", f"{quantized} q = MatMul (hd,").replace(
        "k = MatMul (h,", "k = MatMul (hd,"
    )
    model = build(body + POOLED, {"s": np.asarray(0.02, np.float32), "z": np.asarray(128, np.uint8)})
    before = compute(model)
    assert narrow_pooled(model) == 1
    assert taken(model) == ["h", "hd"]
    np.testing.assert_allclose(compute(model), before, atol=1e-6, rtol=0)


@pytest.mark.parametrize("more", ["Gather <axis = -1> (n, back)", "Slice (n, begin, end, back)"])
def test_channels_that_are_taken_once_more(more: str) -> None:
    """Picking, slicing and joining channels mixes no tokens: what outlier channels are made of does not stop it."""
    body = LAYER.replace("f = MatMul (n, w1)", f"c = {more} w = Concat <axis = -1> (n, c) f = MatMul (w, w1)")
    constants = {"back": np.array([-1]), "begin": np.array([0]), "end": np.array([1])}
    wide = np.random.default_rng(1).normal(size=(HIDDEN + 1, HIDDEN)).astype(np.float32)
    model = build(body + POOLED, {**constants, "w1": wide})
    before = compute(model)
    assert narrow_pooled(model) == 1
    assert taken(model) == ["h", *(["n"] if "Gather" in more else [])]
    np.testing.assert_allclose(compute(model), before, atol=1e-6, rtol=0)


def test_three_tensors_that_are_joined() -> None:
    """Of all that is joined along the channels the token is taken."""
    body = LAYER.replace("f = MatMul (n, w1)", "w = Concat <axis = -1> (n, h, total) f = MatMul (w, w1)")
    wide = np.random.default_rng(1).normal(size=(3 * HIDDEN, HIDDEN)).astype(np.float32)
    model = build(body + POOLED, {"w1": wide})
    before = compute(model)
    assert narrow_pooled(model) == 1
    assert taken(model) == ["h"]
    np.testing.assert_allclose(compute(model), before, atol=1e-6, rtol=0)


@pytest.mark.parametrize("axis", [0, 1])
def test_tokens_that_are_joined(axis: int) -> None:
    """Joined along another axis than that of channels, what stands before is left as it is."""
    body = LAYER.replace("f = MatMul (n, w1)", f"w = Concat <axis = {axis}> (n, n) f = MatMul (w, w1)")
    body = body.replace("(e, n, gamma", "(e, w, gamma")
    model = build(body + POOLED)
    assert narrow_pooled(model) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # Its range would be that of one token.
        (
            "o = MatMul (mixed, wo)",
            "u, s, z = DynamicQuantizeLinear (mixed) d = DequantizeLinear (u, s, z) o = MatMul (d, wo)",
        ),
        ("o = MatMul (mixed, wo)", "o = Softmax <axis = 1> (mixed)"),
        # A constant with tokens of its own.
        ("total = Add (o, h)", "total = Add (o, positions)"),
        ("y = Tanh (p)", "other = Add (last, h) sum = ReduceSum <keepdims = 0> (other) y = Add (p, sum)"),
    ],
)
def test_where_it_stops(old: str, new: str) -> None:
    """Behind what mixes tokens, and with what others read too, all is left as it was."""
    positions = np.ones((1, TOKENS, HIDDEN), np.float32)
    model = build((LAYER + POOLED).replace(old, new), {"positions": positions})
    before = ir.to_proto(model).SerializeToString()
    assert narrow_pooled(model) == 0
    assert ir.to_proto(model).SerializeToString() == before


def test_every_token_is_read() -> None:
    """A head on all tokens, as question answering has, leaves the graph as it is."""
    model = build(f"{LAYER} y = MatMul (last, wp)", outputs="float[b, s, k] y")
    assert narrow_pooled(model) == 0


def test_another_token_than_the_first() -> None:
    """The second token would not be in its place any more: nothing is done."""
    model = build(LAYER + POOLED, {"zero": np.asarray(1, np.int64)})
    assert narrow_pooled(model) == 0
