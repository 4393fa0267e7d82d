"""Short names for groups of layers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.records import GroupSensitivity
from quantkit.report.groups import Place, is_map, places

LAYER = "bert.encoder.layer"


def group(name: str, *layers: str) -> GroupSensitivity:
    numbers = {"macs": 1, "damage": 0.0, "changed": 0.0, "sqnr_db": 40.0}
    return GroupSensitivity(group=name, layers=layers or (name,), kind="", **numbers)


@pytest.mark.parametrize(
    ("name", "layers", "expected"),
    [
        (
            f"{LAYER}.3.attention.self.*",
            [f"{LAYER}.3.attention.self.{part}" for part in ("query", "key", "value")],
            Place(layer=3, kind="query, key, value"),
        ),
        (f"{LAYER}.11.attention.output.dense", [], Place(layer=11, kind="attention.output")),
        (f"{LAYER}.0.output.dense", [], Place(layer=0, kind="output")),
        (f"{LAYER}.0.a", [f"{LAYER}.0.a", f"{LAYER}.0.b.c"], Place(layer=0, kind="a and 1 more")),
        ("transformer.layer.2.ffn.lin1", [], Place(layer=2, kind="ffn.lin1")),
        ("qa_outputs", [], Place(layer=None, kind="qa_outputs")),
    ],
)
def test_places(name: str, layers: list[str], expected: Place) -> None:
    """The layer's number and a short name are read off the names of a group and of its layers."""
    assert places([group(name, *layers)]) == (expected,)


def test_names_that_would_be_the_same_stay_long() -> None:
    """A short name never stands for two groups."""
    groups = [group(f"{LAYER}.0.output.dense"), group(f"{LAYER}.0.output")]
    assert [place.kind for place in places(groups)] == ["output.dense", "output"]


@given(names=st.lists(st.text("ab.*,01", min_size=1), unique=True, max_size=8))
def test_any_names_have_places(names: list[str]) -> None:
    """Groups of other models have other names; each still has a place."""
    named = places([group(name) for name in names])
    assert len(names) == len(named)
    assert is_map(named) in (True, False)
