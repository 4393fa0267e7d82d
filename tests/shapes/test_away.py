"""Candidates of a round go out together, and come back as if they had been built here."""

import importlib
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from shapes.conftest import cost, ratios

from quantkit.artifact import Artifact
from quantkit.one_blas_thread import one_blas_thread
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shapes import price, trials
from quantkit.shapes.away import Away, Errand, TrialKit
from quantkit.shapes.find import find
from quantkit.shapes.in_float import floats_of
from quantkit.shapes.questions import questions_of


class Workers:
    """Workers in this process, the last errand first; everything passes through pickle, as to another machine."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def __call__(self, model: Path, kit: TrialKit, errands: Sequence[Errand]) -> Iterator[tuple[int, Any]]:
        """Do errands as workers do."""
        self.sent.append(len(errands))
        kit = pickle.loads(pickle.dumps(kit))
        begun = kit.begin(model)
        for number, errand in reversed(list(enumerate(errands))):
            yield number, kit.do(begun, pickle.loads(pickle.dumps(errand)))


@pytest.mark.slow
@pytest.mark.usefixtures("plain")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("in_float", [False, True])
def test_found_as_here(
    teacher: Artifact,
    settings: SearchSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    in_float: bool,
) -> None:
    """Candidates, healed blocks and the chosen one are those of a search without workers; a second run asks nobody.

    Those with blocks in float too, which to these costs are as cheap as INT8.
    """
    for module in (price, trials):
        monkeypatch.setattr(module, "measure_beside", lambda snippets, **_: [cost(one) for one in snippets])
    monkeypatch.setattr(trials, "times_the_first", ratios)
    floats = {"float_blocks": True, "min_int8_coverage": 0.5} if in_float else {}
    asked = settings.model_copy(update={"candidates": 2, **floats})
    workers = Workers()
    found = []
    for where in ("here", "away", "away"):
        monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / where))
        if where == "away":
            # The package has a function of the module's name.
            module = importlib.import_module("quantkit.shapes.find")
            monkeypatch.setattr(module, "_away", lambda trials, _: Away(trials=trials, workers=workers))
        with one_blas_thread():
            one = find(teacher, questions_of("squad", asked, None), asked)
        healed = [
            (part.units.tolist(), part.matrix.tobytes(), part.bias.tobytes())
            for candidate in one.search.candidates
            for part in one.search.parts(candidate).values()
        ]
        found.append((one.search.candidates, one.chosen, healed, [len(wave) for wave in one.search.waves]))
    assert found == [found[0]] * 3
    assert workers.sent == [2, 3]
    assert in_float is any(floats_of(one.units) for one in found[0][0])
