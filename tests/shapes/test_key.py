"""Which searches know each other's measurements: those of one teacher, on the same questions, on one kind of CPU."""

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from quantkit.recipe.search_settings import SearchSettings

find = importlib.import_module("quantkit.shapes.find")


def key(
    *, observations: str = "o", damage: str = "d", selection: str = "s", grid: str = "int8", **asked: Any
) -> str:
    bench: Any = SimpleNamespace(
        observations=SimpleNamespace(key=observations), grid=SimpleNamespace(name=grid)
    )
    questions: Any = SimpleNamespace(
        damage=SimpleNamespace(digest=damage), selection=SimpleNamespace(digest=selection)
    )
    found: str = find.key_of(bench, questions, SearchSettings(**asked))
    return found


@pytest.mark.parametrize(
    "changed",
    [
        {"observations": "of another teacher"},
        {"damage": "others"},
        {"selection": "others"},
        {"grid": "uint8"},
        {"step": 64},
        {"confidence": 0.9},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_another_search_has_another_key(changed: dict[str, Any]) -> None:
    """What decides a measurement separates the journals."""
    assert key(**changed) != key()


def test_another_machine_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels decide the last digits, and what anything costs."""
    before = key()
    monkeypatch.setattr(
        find, "cpu_facts", lambda: SimpleNamespace(kernels_json=lambda: {"isa": "another one"})
    )
    assert key() != before


def test_limits_and_budget_share_a_key() -> None:
    """A search that asks for something else begins with all that was measured."""
    asked = {"min_throughput": "2x", "max_parameters": 10**6, "budget": 60.0, "candidates": 2}
    assert key(**asked) == key()
