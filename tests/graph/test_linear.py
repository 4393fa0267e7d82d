"""Linear layers and tables are found by structure, and chosen by name."""

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import RecipeError
from quantkit.graph.linear import embedding_tables, linear_layers, matching

NAMES = [
    "bert.embeddings.word_embeddings",
    "bert.encoder.layer.0.attention.self.query",
    "bert.encoder.layer.0.attention.output.dense",
    "bert.encoder.layer.1.attention.self.query",
    "bert.encoder.layer.10.output.dense",
    "qa_outputs",
]


def build(body: str, **weights: np.ndarray) -> ir.Graph:
    """Return the graph of these nodes, each named after its output."""
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[a, 4] x, int64[a] ids) => (float[a, 3] y) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    for node in proto.graph.node:
        node.name = node.output[0]
    for name, array in weights.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return ir.from_proto(proto).graph


W = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_matmul_and_gemm_give_the_same_matrix() -> None:
    """Weight [inputs, outputs] and shape are the same for MatMul, Gemm and transposed Gemm."""
    graph = build("a = MatMul (x, w) b = Gemm (x, w) y = Gemm <transB = 1> (x, t)", w=W, t=W.T.copy())
    layers = linear_layers(graph)
    assert [layer.name for layer in layers] == ["a", "b", "y"]
    assert [layer.transposed for layer in layers] == [False, False, True]
    for layer in layers:
        assert layer.shape == (4, 3)
        assert layer.activation.name == "x"
        np.testing.assert_array_equal(layer.matrix(), W)


@pytest.mark.parametrize(
    "body",
    [
        "h = Transpose (x) y = MatMul (x, h)",
        "y = MatMul (w, x)",
        "y = Gemm <alpha = 2.0> (x, w)",
        "y = Gemm <transA = 1> (x, w)",
        "y = MatMul (x, half)",
        "y = MatMul (x, batched)",
    ],
)
def test_what_is_no_linear_layer(body: str) -> None:
    """Products of activations, scaled or transposed Gemm, other types and batched weights are left alone."""
    graph = build(body, w=W, half=W.astype(np.float16), batched=W[None])
    assert linear_layers(graph) == []


def test_pooled() -> None:
    """A layer behind the choice of one token sees one vector a row, and so does a Gemm; a lookup is no choice."""
    graph = build(
        """words = Gather (w, ids) token = Gather <axis = 1> (words, one) bent = Tanh (token) shifted = Add (bias, bent)
        a = MatMul (shifted, w) b = MatMul (words, t) c = Gemm (x, w) y = MatMul (x, w)""",
        w=W,
        t=W.T.copy(),
        one=np.asarray(0, np.int64),
        bias=np.ones(4, np.float32),
    )
    assert {layer.name: layer.pooled for layer in linear_layers(graph)} == {
        "a": True,
        "b": False,
        "c": True,
        "y": False,
    }


def test_activation_follows_the_graph() -> None:
    """A layer's activation is what its node reads now."""
    graph = build("h = Tanh (x) y = MatMul (x, w)", w=W)
    (layer,) = linear_layers(graph)
    layer.node.replace_input_with(0, graph[0].outputs[0])
    assert layer.activation.name == "h"


def test_tables() -> None:
    """Tables are 2-D float weights that Gather takes rows of; other lookups are not."""
    graph = build(
        """a = Gather (words, ids) b = Gather (words, ids) c = Gather <axis = 1> (words, ids)
        d = Gather (numbers, ids) e = Gather (x, ids) y = Gather (line, ids)""",
        words=W,
        numbers=np.arange(6).reshape(2, 3),
        line=np.ones(3, np.float32),
    )
    (table,) = embedding_tables(graph)
    assert table.name == "words"
    assert [node.name for node in table.nodes] == ["a", "b"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("qa_outputs", ["qa_outputs"]),
        ("query", [NAMES[1], NAMES[3]]),
        ("self.query", [NAMES[1], NAMES[3]]),
        ("*.layer.1.*", [NAMES[3]]),
        ("layer.1?.output.dense", [NAMES[4]]),
        ("word_embeddings", [NAMES[0]]),
        ("*", NAMES),
    ],
)
def test_patterns(pattern: str, expected: list[str]) -> None:
    """A pattern matches a whole name or the end of its dotted path, never the middle of a word."""
    assert matching(NAMES, [pattern]) == set(expected)


def test_patterns_add_up() -> None:
    """Several patterns keep what any of them matches; none keeps nothing."""
    assert matching(NAMES, ["query", "qa_outputs"]) == {NAMES[1], NAMES[3], NAMES[5]}
    assert matching(NAMES, []) == set()


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("querY", r"did you mean query\?"),
        ("uery", r"did you mean query\?"),
        ("layer.1", r"layers are named like bert\.embeddings"),
        ("nothing", r"layers are named like bert\.embeddings"),
    ],
)
def test_pattern_that_matches_nothing(pattern: str, hint: str) -> None:
    """It is an error that shows the pattern, and the nearest name or what layers are called."""
    with pytest.raises(RecipeError, match=f"matches no layer; {hint}"):
        matching(NAMES, ["query", pattern])


@given(st.sampled_from(NAMES))
def test_every_name_matches_itself(name: str) -> None:
    """A name as `inspect` prints it is a pattern for that layer alone."""
    assert matching(NAMES, [name]) == {name}


@pytest.mark.parametrize("pattern", ["dense", "*.attention.output.dense", "*/dense/MatMul", "bert.encoder.*"])
def test_names_of_the_exporter_match_as_paths(pattern: str) -> None:
    """A layer that torch's exporter named is found by its module path as well as by its name."""
    name = "/bert/encoder/layer.0/attention/output/dense/MatMul"
    assert matching([name, "/qa_outputs/MatMul_1"], [pattern]) == {name}
    assert matching([name, "/qa_outputs/MatMul_1"], ["qa_outputs"]) == {"/qa_outputs/MatMul_1"}
