"""BiasGelu, FastGelu and Gelu: the cases of their docstrings."""

import math
from typing import Any

import numpy as np
import pytest

from quantkit.graph.fusion.bias_gelu import BiasGelu
from quantkit.graph.fusion.fast_gelu import FastGelu
from quantkit.graph.fusion.gelu import Gelu

CONSTANTS = {
    "root": np.float32(math.sqrt(2)),
    "inverse": np.float32(1 / math.sqrt(2)),
    "one": np.float32(1),
    "half": np.float32(0.5),
    "three": np.float32(3),
    "cubic": np.float32(0.044715),
    "outer": np.float32(math.sqrt(2 / math.pi)),
}

ERF = {
    "divide": "d = Div(h, root) e = Erf(d) a = Add(e, one) m = Mul(h, a) y = Mul(m, half)",
    "multiply": "d = Mul(h, inverse) e = Erf(d) a = Add(one, e) m = Mul(a, h) y = Mul(half, m)",
    "half first": "d = Div(h, root) e = Erf(d) a = Add(e, one) n = Mul(h, half) y = Mul(n, a)",
}
TANH = {
    "power": "p = Pow(h, three) q = Mul(p, cubic) r = Add(h, q) s = Mul(r, outer) t = Tanh(s) "
    "a = Add(t, one) n = Mul(h, half) y = Mul(n, a)",
    "products": "k = Mul(h, h) p = Mul(k, h) q = Mul(cubic, p) r = Add(h, q) s = Mul(outer, r) t = Tanh(s) "
    "a = Add(one, t) n = Mul(half, h) y = Mul(n, a)",
}


def activation(bench: Any, head: str, body: str, outputs: str = "float[B,S,8] y") -> Any:
    text = f"g (float[B,S,4] x) => ({outputs}) {{ linear = MatMul(x, w) {head} {body} }}"
    return bench.parse(text, {**CONSTANTS, "w": 2 * bench.normal(4, 8), "b": bench.normal(8, seed=1)})


def feeds(bench: Any) -> dict[str, np.ndarray]:
    return {"x": bench.normal(2, 5, 4, seed=2)}


@pytest.mark.parametrize("body", ERF.values(), ids=ERF)
@pytest.mark.parametrize("head", ["h = Add(linear, b)", "h = Add(b, linear)"])
def test_bias_gelu_in_every_writing(bench: Any, head: str, body: str) -> None:
    """The erf Gelu is found by what it computes, with the bias on either side."""
    model = activation(bench, head, body)
    assert bench.fuse_and_compare(BiasGelu, model, feeds(bench), atol=1e-6).matched == 1
    assert bench.operators(model) == ["MatMul", "BiasGelu"]


@pytest.mark.parametrize("body", TANH.values(), ids=TANH)
def test_fast_gelu_in_every_writing(bench: Any, body: str) -> None:
    """The tanh Gelu becomes FastGelu with its bias."""
    model = activation(bench, "h = Add(linear, b)", body)
    assert bench.fuse_and_compare(FastGelu, model, feeds(bench), atol=1e-6).matched == 1
    assert bench.operators(model) == ["MatMul", "FastGelu"]


def test_fast_gelu_without_bias(bench: Any) -> None:
    """The bias of FastGelu is optional."""
    model = activation(bench, "h = Identity(linear)", TANH["power"])
    assert bench.fuse_and_compare(FastGelu, model, feeds(bench), atol=1e-6).matched == 1
    assert len(model.graph[-1].inputs) == 1


def test_tanh_gelu_is_no_bias_gelu(bench: Any) -> None:
    """The two Gelus differ by up to 4.7e-4, so a tanh Gelu never becomes an erf Gelu."""
    model = activation(bench, "h = Add(linear, b)", TANH["power"])
    assert bench.fuse(BiasGelu, model).matched == 0
    assert "BiasGelu" not in bench.operators(model)


def test_pooler_tanh_is_no_anchor(bench: Any) -> None:
    """A plain Tanh is neither matched nor missed."""
    model = activation(bench, "h = Add(linear, b)", "y = Tanh(h)")
    result = bench.fuse(FastGelu, model)
    assert (result.matched, result.missed) == (0, ())


def test_gelu_after_gemm(bench: Any) -> None:
    """Without a bias Add BiasGelu says so, and Gelu takes it."""
    model = activation(bench, "h = Neg(linear)", ERF["divide"])
    missed = BiasGelu()(model).missed
    assert [(miss.node, miss.reason) for miss in missed] == [
        ("Div_2", "its input comes from Neg Neg_1, not from an Add of a bias")
    ]
    assert bench.fuse_and_compare(Gelu, model, feeds(bench), atol=1e-6).matched == 1
    assert bench.operators(model) == ["MatMul", "Neg", "Gelu"]


@pytest.mark.parametrize(
    ("body", "outputs", "node", "reason"),
    [
        (ERF["divide"] + " z = Neg(h)", "float[B,S,8] y, float[B,S,8] z", "Add_1", "also used by Neg Neg_7"),
        (ERF["divide"] + " z = Neg(e)", "float[B,S,8] y, float[B,S,8] z", "Erf_3", "has 2 readers"),
        (ERF["divide"] + " z = Neg(d)", "float[B,S,8] y, float[B,S,8] z", "Div_2", "also used by Neg Neg_7"),
        (ERF["divide"].replace("Mul(m, half)", "Mul(m, one)"), "float[B,S,8] y", "Mul_6", "another function"),
        (
            ERF["divide"].replace("Div(h, root)", "Div(h, three)"),
            "float[B,S,8] y",
            "Mul_6",
            "another function",
        ),
        ("d = Div(h, root) e = Erf(d) y = Neg(e)", "float[B,S,8] y", "Neg_4", "is a Neg"),
    ],
)
def test_says_why_it_did_not_match(bench: Any, body: str, outputs: str, node: str, reason: str) -> None:
    """A near-miss names the node at which matching stopped, and the reason; the graph stays as it was."""
    model = activation(bench, "h = Add(linear, b)", body, outputs)
    before = bench.operators(model)
    result = bench.fuse(BiasGelu, model)
    assert result.matched == 0
    assert [miss.node for miss in result.missed] == [node]
    assert reason in result.missed[0].reason
    assert bench.operators(model) == before
