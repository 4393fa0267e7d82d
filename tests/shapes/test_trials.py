"""Trials: how candidates are built."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quantkit.allocation.journal import Journal
from quantkit.shapes import trials
from quantkit.shapes.blocks import Block
from quantkit.shapes.trials import Trials, candidate_key


@pytest.mark.parametrize("better", ["healed", "narrowed"])
def test_what_was_compared_is_not_quantized_again(monkeypatch: pytest.MonkeyPatch, better: str) -> None:
    """Healed and not, a candidate is quantized once each, and the better model is what is written."""
    block = Block(layer=0, kind="attention", path="encoder.layer.0", units=8, size=4, hidden=32)
    made: list[Any] = []
    saved: list[Any] = []

    class Fake(Trials):
        def _quantized(self, units: Any, parts: Any) -> Any:
            made.append(parts[block])
            return parts[block]

    def divergence(_: Any, model: Any) -> Any:
        return SimpleNamespace(divergence=0.1 if model == better else 0.2)

    monkeypatch.setattr(trials, "heal", lambda *_: {block: "healed"})
    monkeypatch.setattr(trials, "as_written", lambda part: part)
    monkeypatch.setattr(trials, "write_parts", lambda *_: None)
    monkeypatch.setattr(trials, "sat", divergence)
    monkeypatch.setattr(trials, "save_model", lambda model, _: saved.append(model))
    bench: Any = SimpleNamespace(model=None, observations=SimpleNamespace(job=SimpleNamespace(rows=[])))
    ladder: Any = SimpleNamespace(parts={4: "narrowed"})
    nothing: Any = None
    units: dict[Block, int] = {block: 4}
    one = Fake(
        bench=bench,
        blocks=[block],
        ladders={block: ladder},
        exam=nothing,
        held_out=nothing,
        journal=Journal("key"),
        load=nothing,
    )
    one.built(units, Path("model.onnx"))
    found: Any = one.parts(units)
    assert (sorted(made), saved, found) == (["healed", "narrowed"], [better], {block: better})


def test_known_blocks_are_taken_as_they_are() -> None:
    """They are neither healed nor compared, and those of largest weights are another candidate's."""
    block = Block(layer=0, kind="attention", path="encoder.layer.0", units=8, size=4, hidden=32)
    units: dict[Block, int] = {block: 4}
    by_key: Any = {
        candidate_key(units, magnitude=magnitude): {block: magnitude} for magnitude in (False, True)
    }
    nothing: Any = None
    one = Trials(
        bench=nothing,
        blocks=[block],
        ladders={},
        exam=nothing,
        held_out=nothing,
        journal=nothing,
        load=nothing,
        known=by_key,
    )
    found: Any = [one.parts(units, magnitude=magnitude) for magnitude in (False, True)]
    assert found == [{block: False}, {block: True}]
