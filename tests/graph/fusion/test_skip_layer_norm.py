"""SkipLayerNormalization: the cases of its docstring."""

from typing import Any

import numpy as np
import pytest

from quantkit.graph.fusion.skip_layer_norm import SkipLayerNormalization

HIDDEN = 8
SIGNATURE = "g (float[B,S,8] x, float[B,S,8] skip) => (float[B,S,8] y)"


def weights(bench: Any) -> dict[str, Any]:
    return {
        "w": bench.normal(HIDDEN, HIDDEN, seed=1),
        "b": bench.normal(HIDDEN, seed=2),
        "gamma": bench.normal(HIDDEN, seed=3),
        "beta": bench.normal(HIDDEN, seed=4),
    }


def feeds(bench: Any) -> dict[str, np.ndarray]:
    return {"x": bench.normal(2, 3, HIDDEN, seed=5), "skip": bench.normal(2, 3, HIDDEN, seed=6)}


@pytest.mark.parametrize("total", ["Add(biased, skip)", "Add(skip, biased)"])
@pytest.mark.parametrize("biased", ["Add(linear, b)", "Add(b, linear)"])
def test_takes_in_the_bias_of_the_linear_layer(bench: Any, total: str, biased: str) -> None:
    """The residual and the bias may stand on either side of their Adds."""
    model = bench.parse(
        f"""{SIGNATURE} {{
            linear = MatMul(x, w)
            biased = {biased}
            total = {total}
            y = LayerNormalization <epsilon = 1e-12> (total, gamma, beta) }}""",
        weights(bench),
    )
    result = bench.fuse_and_compare(SkipLayerNormalization, model, feeds(bench), atol=2e-6)
    assert result.matched == 1
    assert bench.operators(model) == ["MatMul", "SkipLayerNormalization"]
    assert [value.name for value in model.graph[1].inputs] == ["linear", "skip", "gamma", "beta", "b"]


def test_leaves_a_bias_that_others_read(bench: Any) -> None:
    """A biased value with another reader stays an operand as it is."""
    model = bench.parse(
        """g (float[B,S,8] x, float[B,S,8] skip) => (float[B,S,8] y, float[B,S,8] z) {
            linear = MatMul(x, w)
            biased = Add(linear, b)
            z = Neg(biased)
            total = Add(biased, skip)
            y = LayerNormalization(total, gamma, beta) }""",
        weights(bench),
    )
    assert bench.fuse_and_compare(SkipLayerNormalization, model, feeds(bench), atol=2e-6).matched == 1
    assert len(model.graph[-1].inputs) == 4


def test_gives_the_sum_to_its_other_readers(bench: Any) -> None:
    """In a pre-norm encoder the sum goes on as well: it is the fused node's fourth output, bias included."""
    model = bench.parse(
        """g (float[B,S,8] x, float[B,S,8] skip) => (float[B,S,8] z) {
            linear = MatMul(x, w)
            biased = Add(linear, b)
            total = Add(biased, skip)
            y = LayerNormalization(total, gamma, beta)
            z = Mul(total, y) }""",
        weights(bench),
    )
    assert bench.fuse_and_compare(SkipLayerNormalization, model, feeds(bench), atol=2e-6).matched == 1
    assert bench.operators(model) == ["MatMul", "SkipLayerNormalization", "Mul"]


def test_reads_the_nodes_older_opsets_write(bench: Any) -> None:
    """Before opset 17 a layer normalization is nine nodes; they fuse just as well."""
    model = bench.parse(
        f"""{SIGNATURE} {{
            total = Add(x, skip)
            mean = ReduceMean <axes = [-1]> (total)
            centred = Sub(total, mean)
            square = Pow(centred, two)
            variance = ReduceMean <axes = [-1]> (square)
            shifted = Add(variance, epsilon)
            deviation = Sqrt(shifted)
            quotient = Div(centred, deviation)
            scaled = Mul(quotient, gamma)
            y = Add(scaled, beta) }}""",
        {**weights(bench), "two": np.float32(2), "epsilon": np.float32(1e-5)},
        opset=14,
    )
    assert bench.fuse_and_compare(SkipLayerNormalization, model, feeds(bench), atol=2e-6).matched == 1
    assert bench.operators(model) == ["SkipLayerNormalization"]


@pytest.mark.parametrize(
    ("body", "node", "reason"),
    [
        (
            "t = Mul(x, skip)\ny = LayerNormalization(t, gamma, beta)",
            "LayerNormalization_1",
            "comes from Mul Mul_0",
        ),
        ("t = Add(x, b)\ny = LayerNormalization(t, gamma, beta)", "Add_0", "adds a constant"),
        (
            "t = Add(x, skip)\ny = LayerNormalization <axis = 1> (t, gamma2, gamma2)",
            "LayerNormalization_1",
            "from axis 1 on",
        ),
        (
            "t = Add(x, skip)\ny, mean = LayerNormalization(t, gamma, beta)\nz = Neg(mean)",
            "LayerNormalization_1",
            "mean or deviation is used",
        ),
    ],
)
def test_says_why_it_did_not_match(bench: Any, body: str, node: str, reason: str) -> None:
    """A near-miss names the node at which matching stopped, and the reason; the graph stays as it was."""
    outputs = "float[B,S,8] y, float[B,S,1] z" if "z =" in body else "float[B,S,8] y"
    model = bench.parse(
        f"g (float[B,S,8] x, float[B,S,8] skip) => ({outputs}) {{ {body} }}",
        {**weights(bench), "gamma2": bench.normal(3, HIDDEN)},
    )
    before = bench.operators(model)
    result = bench.fuse(SkipLayerNormalization, model)
    assert result.matched == 0
    assert [miss.node for miss in result.missed] == [node]
    assert reason in result.missed[0].reason
    assert bench.operators(model) == before


def test_leaves_embedding_sums_alone(bench: Any) -> None:
    """A sum of table lookups is no residual connection: it belongs to EmbedLayerNormalization."""
    model = bench.parse(
        """g (int64[B,S] input_ids, int64[B,S] other) => (float[B,S,8] y) {
            a = Gather(words, input_ids)
            b1 = Gather(positions, other)
            t = Add(a, b1)
            y = LayerNormalization(t, gamma, beta) }""",
        {**weights(bench), "words": bench.normal(9, HIDDEN), "positions": bench.normal(9, HIDDEN)},
    )
    result = bench.fuse(SkipLayerNormalization, model)
    assert result.matched == 0
    assert "EmbedLayerNormalization" in result.missed[0].reason
