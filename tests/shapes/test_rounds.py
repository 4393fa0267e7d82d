"""Candidates of a round are built together where there are workers."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantkit.allocation.journal import Journal
from quantkit.errors import QuantizationError
from quantkit.records.shapes import MAGNITUDE, SHALLOW, UNIFORM
from quantkit.shapes import away as aways
from quantkit.shapes.away import Away, Done
from quantkit.shapes.blocks import Block
from quantkit.shapes.goal import Goal
from quantkit.shapes.price import Prices
from quantkit.shapes.search import Search
from quantkit.shapes.slots import Units, named, space_of
from quantkit.shapes.trials import Trials

pytest.importorskip("scipy", reason="shapes are chosen by the solver")
BLOCKS = [
    Block(layer=number, kind=kind, path=f"l.{number}", units=4, size=1, hidden=8)
    for number in range(4)
    for kind in ("attention", "feed_forward")
]
COSTS = {block: {4: 4.0, 3: 3.0, 2: 2.0, 0: 0.0} for block in BLOCKS}
DAMAGES = {block: {4: 0.0, 3: 0.04, 2: 0.1 + place / 100, 0: 1.0} for place, block in enumerate(BLOCKS)}
WHOLE, ASKED = 33.0, 21.0
FIRST, SECOND = "solution 1 of round 1", "solution 2 of round 1"
BASELINES = {UNIFORM, SHALLOW, MAGNITUDE}


class Built:
    """Trials that measure nothing; the divergence of a candidate is that of its damages.

    Args:
        share: of its price that a block costs in a whole model which is not the teacher.
    """

    def __init__(self, share: float = 1.0) -> None:
        self.share = share
        self.journal = SimpleNamespace(times=[])
        self.built: list[Units] = []

    def judged(self, units: Units, *, magnitude: bool = False) -> Any:
        """Return what nothing was run for."""
        del magnitude
        self.built.append(units)
        damage = sum(DAMAGES[block][count] for block, count in units.items())
        return SimpleNamespace(marks=SimpleNamespace(divergence=damage, expected_ratio=1.0))

    def costs(self, models: list[Units]) -> list[float]:
        """Return the price of each."""
        return [
            1.0
            + sum(COSTS[block][count] * (self.share if count < 4 else 1) for block, count in units.items())
            for units in models
        ]


class Workers:
    """Note what is sent together, and fail where they are told to."""

    def __init__(self, failed: Mapping[str, Exception] | None = None) -> None:
        self.sent: list[dict[str, Units]] = []
        self.failed = failed or {}

    def __call__(self, asked: Mapping[str, Units]) -> dict[str, Exception]:
        """Take candidates that go out together."""
        self.sent.append(dict(asked))
        return {origin: self.failed[origin] for origin in asked if origin in self.failed}


def search(away: Any, *, deadline: float = math.inf, most: int = 2, share: float = 1.0) -> Search:
    trials: Any = Built(share)
    whole = dict.fromkeys(BLOCKS, 4)
    teacher: Any = SimpleNamespace(
        units=whole, cost=WHOLE, judged=SimpleNamespace(marks=SimpleNamespace(divergence=0.0))
    )
    return Search(
        space=space_of(DAMAGES, COSTS),
        goal=Goal(cost=ASKED, limits=(), ratio=None, asked={}),
        prices=Prices(blocks=COSTS, beside=1.0, whole=(WHOLE,)),
        trials=trials,
        teacher=teacher,
        deadline=deadline,
        most=most,
        away=away,
    )


@pytest.mark.parametrize("share", [0.8, 1.2])
def test_prices_that_were_wrong_are_mended(share: float) -> None:
    """Where blocks cost less than their prices the next round keeps more of them, where they cost more, less."""
    first, *_, last = [one for one in search(None, most=6, share=share).run() if one.origin not in BASELINES]
    assert first.predicted == ASKED
    assert (last.predicted > ASKED, last.cost <= ASKED) == (share < 1, True)
    assert abs(last.cost - ASKED) < abs(first.cost - ASKED)


def test_a_round_goes_out_together_and_comes_back_in_order() -> None:
    """First the two solutions, then the baselines; candidates and their order are those without workers."""
    workers = Workers()
    found = [[(one.origin, one.units) for one in search(away).run()] for away in (None, workers)]
    assert found[0] == found[1]
    assert [set(sent) for sent in workers.sent] == [{FIRST, SECOND}, BASELINES]
    assert [origin for origin, _ in found[1][:2]] == [FIRST, SECOND]


def test_what_was_begun_is_told_even_when_time_is_up() -> None:
    """A round is begun as a whole: its second candidate is not thrown away, and no other is begun."""
    workers = Workers()
    ended = [one.origin for one in search(workers, deadline=time.monotonic() - 1).run()]
    assert ended[:2] == [FIRST, SECOND]


@pytest.mark.parametrize("error", [QuantizationError("collapsed"), np.linalg.LinAlgError("singular")])
def test_an_error_is_told_in_its_place(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """One of a solution ends the search after those before it were told of; a baseline is left out with a warning."""
    begun = search(Workers({SECOND: error}))
    with pytest.raises(type(error), match=str(error)):
        list(begun.run())
    assert [one.origin for one in begun.candidates] == [FIRST]
    ended = [one.origin for one in search(Workers({UNIFORM: error})).run()]
    assert UNIFORM not in ended
    assert MAGNITUDE in ended
    assert f"{UNIFORM} is left out: it cannot be quantized ({error})" in caplog.text


def test_what_is_known_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came back is written down as it comes, so a search that is killed sends only what is missing."""
    nothing: Any = None
    bench: Any = SimpleNamespace(model=SimpleNamespace(clone=lambda: None))
    trials = Trials(
        bench=bench,
        blocks=BLOCKS,
        ladders={block: SimpleNamespace(parts={2: "narrowed"}) for block in BLOCKS},  # type: ignore[misc]
        exam=nothing,
        held_out=nothing,
        journal=Journal("key"),
        load=nothing,
    )
    monkeypatch.setattr(aways, "save_model", lambda *_: None)
    monkeypatch.setattr(aways.TrialKit, "of", lambda _: None)
    sent: list[list[Units]] = []

    def workers(model: Path, kit: Any, errands: Any) -> Any:
        del model, kit
        sent.append([errand.units for errand in errands])
        there = Journal("elsewhere")
        for number, errand in enumerate(errands):
            if number:
                raise KeyboardInterrupt
            of = {"candidate": named(errand.units), "healed": "held out"}
            for what in ({"healed": named(errand.units)}, of):
                there.timed(what, lambda: {"kept": "x"})
            yield number, Done(healed={}, lines=there.written)

    one, other = ({block: 2} for block in BLOCKS[:2])
    away = Away(trials=trials, workers=workers)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            away({FIRST: one, SECOND: other, UNIFORM: {BLOCKS[2]: 2}})
    assert sent == [[one, other, {BLOCKS[2]: 2}], [other, {BLOCKS[2]: 2}]]
