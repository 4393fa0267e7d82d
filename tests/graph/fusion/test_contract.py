"""The contract: what it accepts, and what its one line says."""

import pytest

from quantkit.errors import FusionError
from quantkit.graph.fusion import PASSES, Miss, PassResult
from quantkit.graph.fusion.contract import check_contract, fused_counts

MISS = Miss(
    anchor="bert.encoder.layer.3.attention.self",
    node="/bert/encoder/layer.3/attention/self/Add",
    reason="the mask does not depend on attention_mask",
)
PARTIAL = PassResult(name="MultiHeadAttention", matched=5, missed=(MISS,))
LINE = (
    "MultiHeadAttention: 5 of 6; bert.encoder.layer.3.attention.self: stopped at node "
    "/bert/encoder/layer.3/attention/self/Add: the mask does not depend on attention_mask"
)


def test_a_missing_fusion_names_pass_layer_node_and_reason() -> None:
    """The error is one line: which pass, how many of how many, where it stopped, why, and what to do."""
    with pytest.raises(FusionError) as caught:
        check_contract((PARTIAL,), {"MultiHeadAttention": 6})
    assert str(caught.value) == f"{LINE}; use --allow-partial-fusion to accept"


def test_allow_partial_returns_the_line() -> None:
    """With allow_partial the same line comes back as a warning."""
    assert check_contract((PARTIAL,), {"MultiHeadAttention": 6}, allow_partial=True) == (LINE,)


def test_a_met_contract_says_nothing() -> None:
    """As many as promised, or more, is no breach, whatever else was missed."""
    assert check_contract((PARTIAL,), {"MultiHeadAttention": 5, "BiasGelu": 0}) == ()
    assert check_contract((PARTIAL,), {"MultiHeadAttention": 4}) == ()


def test_an_operator_that_is_nowhere() -> None:
    """A promised operator without any candidate in the graph is a breach too."""
    (line,) = check_contract((), {"BiasGelu": 2}, allow_partial=True)
    assert line == "BiasGelu: 0 of 2; nothing in the graph looks like it"


def test_many_misses_are_counted() -> None:
    """Three misses are named, the rest are counted, so that the message stays one line one can read."""
    result = PassResult(name="BiasGelu", matched=0, missed=(MISS,) * 24)
    (line,) = check_contract((result,), {"BiasGelu": 24}, allow_partial=True)
    assert line.count("stopped at node") == 3
    assert line.endswith("and 21 more")


def test_counts_leave_out_zeros_and_cleaning() -> None:
    """The counts name operators that are in the graph."""
    results = (PARTIAL, PassResult(name="BiasGelu", matched=0), PassResult(name="CleanUp", matched=90))
    assert fused_counts(results) == {"MultiHeadAttention": 5}


def test_every_pass_has_its_specification() -> None:
    """A pass is documented by numbered cases, and its operator's name is its own."""
    assert len({make.name for make in PASSES}) == len(PASSES)
    for make in PASSES:
        assert make.__doc__ is not None
        assert "1. " in make.__doc__
        assert "2. " in make.__doc__
