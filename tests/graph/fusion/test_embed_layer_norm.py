"""EmbedLayerNormalization: the cases of its docstring."""

from typing import Any

import numpy as np
import pytest

from quantkit.graph.fusion.embed_layer_norm import EmbedLayerNormalization

HIDDEN = 8
INPUTS = "int64[B,S] input_ids, int64[B,S] token_type_ids, int64[B,S] places"
COUNTED = (
    "shape = Shape(input_ids) length = Gather(shape, index) "
    "numbers = Slice(counting, start, length, axis) p = Gather(positions, numbers) "
)
NORM = "y = LayerNormalization <epsilon = 1e-12> (sum, gamma, beta)"


def embeddings(bench: Any, body: str, outputs: str = "float[B,S,8] y", **more: Any) -> Any:
    weights = {
        "words": bench.normal(30, HIDDEN, seed=1),
        "positions": bench.normal(16, HIDDEN, seed=2),
        "segments": bench.normal(2, HIDDEN, seed=3),
        "narrow": bench.normal(16, 1, seed=3),
        "gamma": bench.normal(HIDDEN, seed=4),
        "beta": bench.normal(HIDDEN, seed=5),
        "counting": np.arange(16)[None],
        "index": np.array([1]),
        "start": np.array([0]),
        "axis": np.array([1]),
        "one": np.int64(1),
    }
    return bench.parse(f"g ({INPUTS}) => ({outputs}) {{ {body} }}", {**weights, **more})


def feeds() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "input_ids": random.integers(0, 30, (2, 5)),
        "token_type_ids": random.integers(0, 2, (2, 5)),
        "places": random.integers(0, 16, (2, 5)),
    }


WORDS = "w = Gather(words, input_ids) "
SEGMENTS = "s = Gather(segments, token_type_ids) "


@pytest.mark.parametrize(
    "total",
    ["a = Add(w, s) sum = Add(a, p) ", "a = Add(s, w) sum = Add(p, a) ", "a = Add(w, p) sum = Add(a, s) "],
)
def test_fuses_three_lookups_in_any_order(bench: Any, total: str) -> None:
    """Words, segments and counted positions become one node without position_ids and without a mask."""
    model = embeddings(bench, WORDS + SEGMENTS + COUNTED + total + NORM)
    assert bench.fuse_and_compare(EmbedLayerNormalization, model, feeds(), atol=2e-6).matched == 1
    assert sorted(bench.operators(model)) == ["Cast", "Cast", "EmbedLayerNormalization"]
    assert len(model.graph[-1].inputs) == 7


def test_fuses_two_lookups(bench: Any) -> None:
    """Without segments (DistilBERT) both segment inputs are left out."""
    model = embeddings(bench, WORDS + COUNTED + "sum = Add(w, p) " + NORM)
    assert bench.fuse_and_compare(EmbedLayerNormalization, model, feeds(), atol=2e-6).matched == 1
    assert [model.graph[-1].inputs[1], model.graph[-1].inputs[4]] == [None, None]


def test_shapes_of_the_lookups_may_be_asked_for(bench: Any) -> None:
    """Reading only the shape of the looked-up words does not stop the fusion."""
    body = WORDS + COUNTED.replace("Shape(input_ids)", "Shape(w)") + "sum = Add(w, p) " + NORM
    model = embeddings(bench, body)
    assert bench.fuse_and_compare(EmbedLayerNormalization, model, feeds(), atol=2e-6).matched == 1
    assert sorted(bench.operators(model)) == ["Cast", "EmbedLayerNormalization"]


def test_computed_positions_are_given_to_the_node(bench: Any) -> None:
    """Positions that do not count 0, 1, 2 … (RoBERTa's) stay computed and go in as position_ids."""
    body = WORDS + SEGMENTS + "r = Add(places, one) q = Sub(r, one) p = Gather(positions, q) "
    model = embeddings(bench, body + "a = Add(w, s) sum = Add(a, p) " + NORM)
    assert bench.fuse_and_compare(EmbedLayerNormalization, model, feeds(), atol=2e-6).matched == 1
    assert len(model.graph[-1].inputs) == 9


def test_shifted_counting_is_not_counting(bench: Any) -> None:
    """A table of positions that begins elsewhere is given to the node too."""
    model = embeddings(bench, WORDS + COUNTED + "sum = Add(w, p) " + NORM, counting=np.arange(16)[None] // 2)
    assert bench.fuse_and_compare(EmbedLayerNormalization, model, feeds(), atol=2e-6).matched == 1
    assert len(model.graph[-1].inputs) == 9


@pytest.mark.parametrize(
    ("body", "outputs", "node", "reason"),
    [
        ("n = Neg(w) " + COUNTED + "sum = Add(n, p) " + NORM, "float[B,S,8] y", "Add", "comes from Neg"),
        (
            COUNTED + "q = Gather(segments, places) sum = Add(q, p) " + NORM,
            "float[B,S,8] y",
            "Add",
            "none of input_ids",
        ),
        (
            "p = Gather(narrow, places) sum = Add(w, p) " + NORM,
            "float[B,S,8] y",
            "Gather",
            "have 1 features, not 8",
        ),
        (
            COUNTED + "sum = Add(w, p) z = Neg(sum) " + NORM,
            "float[B,S,8] y, float[B,S,8] z",
            "Add",
            "used by Neg",
        ),
        (
            COUNTED + "sum = Add(w, p) z = Neg(w) " + NORM,
            "float[B,S,8] y, float[B,S,8] z",
            "Gather",
            "used by Neg",
        ),
    ],
)
def test_says_why_it_did_not_match(bench: Any, body: str, outputs: str, node: str, reason: str) -> None:
    """A near-miss names the node at which matching stopped, and the reason."""
    result = bench.fuse(EmbedLayerNormalization, embeddings(bench, WORDS + body, outputs))
    assert result.matched == 0
    (miss,) = result.missed
    assert miss.node.startswith(node)
    assert reason in miss.reason
