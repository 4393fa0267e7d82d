"""A search that is killed goes on where it was: what is finished is neither built nor measured again."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shapes.conftest import cost, ratios

from quantkit.allocation.journal import Journal
from quantkit.artifact import Artifact
from quantkit.exam import exam
from quantkit.quantization.observe import calibration
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shapes import damage, options, price, trials
from quantkit.shapes.candidate import Candidate
from quantkit.shapes.find import find
from quantkit.shapes.questions import questions_of


@pytest.fixture
def calls(plain: None, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what takes long."""
    made: Counter[str] = Counter()

    def count(module: Any, name: str, instead: Callable[..., Any] | None = None) -> None:
        real = instead or getattr(module, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            made[name] += 1
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, counted)

    count(options, "removal_order")
    count(trials, "heal")
    count(calibration, "_run_observed")
    count(exam, "run_job")
    for module in (damage, trials):
        count(module, "sat")
    for module in (price, trials):
        count(module, "measure_beside", lambda snippets, **_: [cost(snippet) for snippet in snippets])
    count(trials, "times_the_first", ratios)
    return made


def searched(teacher: Artifact, settings: SearchSettings) -> tuple[list[Candidate], list[Any]]:
    """Search, and take the blocks of every candidate, as is done to write them."""
    found = find(teacher, questions_of("squad", settings, None), settings)
    parts = [found.search.parts(one) for one in found.search.candidates]
    # Every trial's seconds are known, whichever run measured it.
    assert len(found.trials["damage"]) == 1 + sum(len(by_units) - 1 for by_units in found.damages.values())
    built = [seconds for part, seconds in found.trials.items() if part.startswith("candidates")]
    assert sum(map(len, built)) == len(found.search.candidates)
    assert len(found.trials["finalists"]) == 1
    assert any(one.again is not None and one.again.low < one.again.median for one in found.search.candidates)
    assert all(second > 0 for seconds in built for second in seconds)
    return found.search.candidates, parts


KILLED = {"order": 2, "alone": 4, "prices": 0, "healed": 1, "candidate": 2, "costs": 2, "finalists": 0}
"""Kind of measurement → so many of it are begun in all before the search is killed in the next."""


@pytest.mark.filterwarnings("ignore")
def test_a_search_that_is_killed_again_and_again(
    teacher: Artifact,
    settings: SearchSettings,
    calls: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """All runs together do what one does that is not killed, to the same candidates; one more does nothing."""
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "whole"))
    whole, whole_parts = searched(teacher, settings)
    wanted = Counter(calls)
    calls.clear()

    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "killed"))
    remembered, done, left = Journal.remembered, Counter[str](), dict(KILLED)

    def killed(journal: Journal, of: Any, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        kind = next(iter(of))

        def kill() -> dict[str, Any]:
            if left.get(kind) == done[kind]:
                del left[kind]
                raise KeyboardInterrupt
            found = measure()
            done[kind] += 1
            return found

        return remembered(journal, of, kill)

    monkeypatch.setattr(Journal, "remembered", killed)
    for _ in KILLED:
        with pytest.raises(KeyboardInterrupt):
            searched(teacher, settings)
    again, again_parts = searched(teacher, settings)

    # The candidate that was killed between healing and its exam is quantized once more.
    wanted["_run_observed"] += 1
    assert (left, calls, again) == ({}, wanted, whole)
    for parts, others in zip(again_parts, whole_parts, strict=True):
        assert list(parts) == list(others)
        for block, part in parts.items():
            assert (part.matrix == others[block].matrix).all()
            assert (part.bias == others[block].bias).all()
    calls.clear()
    assert searched(teacher, settings)[0] == whole
    assert calls == Counter()
