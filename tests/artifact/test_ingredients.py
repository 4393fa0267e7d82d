"""Ingredients: what decides a result, its key, and what is said of a change."""

import pytest

from quantkit.artifact.ingredients import UNKNOWN, Ingredients

MADE_OF = Ingredients(
    inputs={"artifact": "a"}, settings={"mode": "auto", "auto": {"slack": 0.05}}, tools={"onnx": "1"}
)


def changed(**parts: object) -> Ingredients:
    return MADE_OF.model_copy(update=parts)


def test_key_changes_with_every_ingredient() -> None:
    """Stage, inputs, settings and tools each make another key; the same ones make the same."""
    keys = {
        MADE_OF.key("quantize"),
        MADE_OF.key("export"),
        changed(inputs={"artifact": "b"}).key("quantize"),
        changed(inputs={"checkpoint": "a"}).key("quantize"),
        changed(settings={"mode": "auto", "auto": {"slack": 0.1}}).key("quantize"),
        changed(tools={"onnx": "2"}).key("quantize"),
    }
    assert len(keys) == 6
    assert changed().key("quantize") in keys


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (changed(), ""),
        (changed(inputs={"artifact": "b"}), "inputs: artifact"),
        (changed(settings={"mode": "static", "auto": {"slack": 0.05}}), "settings: mode auto → static"),
        (changed(settings={"mode": "auto", "auto": {"slack": 0.1}}), "settings: auto.slack 0.05 → 0.1"),
        (changed(settings={"mode": "auto"}), "settings: auto.slack 0.05 → none"),
        (changed(inputs={}, tools={"onnx": "2"}), "inputs: artifact; tools: onnx 1 → 2"),
    ],
)
def test_differences_are_named(other: Ingredients, said: str) -> None:
    """People read which ingredient is another one, down to the single setting."""
    assert MADE_OF.differences(other) == said


def test_what_is_not_known_is_as_it_was() -> None:
    """An input that cannot be looked at is taken to be what the ledger says; every other one stays."""
    now = Ingredients(inputs={"checkpoint": UNKNOWN, "artifact": "b"})
    before = Ingredients(inputs={"checkpoint": "c", "artifact": "a"})
    assert now.trusting(before).inputs == {"checkpoint": "c", "artifact": "b"}
    assert now.trusting(Ingredients()).inputs == {"checkpoint": UNKNOWN, "artifact": "b"}
