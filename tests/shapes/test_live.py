"""A search shows what it has found while it runs."""

from pathlib import Path
from typing import Any

import pytest
from letters import MakeCheckpoint
from shapes.conftest import cost, ratios

from quantkit.artifact import Artifact
from quantkit.checkpoint import read_checkpoint
from quantkit.recipe.search_settings import SearchSettings
from quantkit.records import ShapeSearch
from quantkit.report.live import LivePage
from quantkit.shapes import price, trials
from quantkit.stages import search as stage

REFRESH = '<meta http-equiv="refresh"'


class Watched(LivePage):
    """Keeps what the page was whenever it was written."""

    def write(self, report: ShapeSearch) -> None:
        """Write it, and keep it."""
        super().write(report)
        self.pages = [*getattr(self, "pages", []), (len(report.candidates), self.path.read_text())]


@pytest.mark.usefixtures("plain")
@pytest.mark.filterwarnings("ignore")
def test_the_page_from_the_first_candidate_to_the_end(
    make_checkpoint: MakeCheckpoint,
    teacher: Artifact,
    settings: SearchSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """One candidate more on each page, all load themselves again; the result does not, and takes the page's place."""
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    for module in (price, trials):
        monkeypatch.setattr(module, "measure_beside", lambda snippets, **_: [cost(one) for one in snippets])
    monkeypatch.setattr(trials, "times_the_first", ratios)
    # What is checked exports two checkpoints, and is another test's.
    monkeypatch.setattr(stage, "_checked", lambda *_: None)
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    said: list[str] = []
    live, out = Watched(tmp_path / "found.live.html", said.append), tmp_path / "found"

    def export(_: Path, __: Path) -> Artifact:
        return teacher

    def searched(output: Path) -> ShapeSearch:
        checkpoint = read_checkpoint(str(make_checkpoint()), task="squad")
        asked = stage.Output(path=output, live=live)
        return stage.search(checkpoint, asked, settings=settings, export=export, work=tmp_path)

    report = searched(out)
    numbers = [number for number, _ in live.pages]
    assert numbers[0] == 2
    assert numbers[-1] == len(report.candidates)
    assert numbers == sorted(numbers)
    assert all(REFRESH in page for _, page in live.pages)
    assert "still running" in live.pages[0][1]
    assert ": candidates, " in live.pages[0][1]
    assert ": check, " in live.pages[-1][1]
    assert not live.path.exists()
    assert REFRESH not in (out / "search.html").read_text()
    assert len(said) == 1

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "_checked", killed)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "again")
    assert "ended before it was done" in live.path.read_text()
    assert REFRESH not in live.path.read_text()
