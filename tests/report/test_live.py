"""The page of a search that runs: written again, never in the way of the search."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from quantkit.errors import OutputError
from quantkit.progress import phases
from quantkit.report import live as live_module
from quantkit.report.live import LivePage
from quantkit.report.pages.running import Running
from quantkit.report.pages.shapes import shapes_page

REFRESH = '<meta http-equiv="refresh"'


@pytest.fixture(autouse=True)
def extra() -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")


def test_only_a_page_of_what_runs_loads_itself_again(shape_search) -> None:
    """While it runs the page says when that was so, and how far; one that is over says so; the result says neither."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    running = shapes_page(shape_search, Running(at=at, phase="candidates", share=0.625))
    over = shapes_page(shape_search, Running(at=at, over=True))
    done = shapes_page(shape_search)
    assert [REFRESH in page for page in (running, over, done)] == [True, False, False]
    assert (
        "This search is still running, as of 2026-01-02 03:04:05 +0000: candidates, 62 % of the whole done. "
        "This page loads itself again."
    ) in running
    assert "This search ended before it was done, at 2026-01-02 03:04:05 +0000." in over
    assert ["so far" in page for page in (running, over, done)] == [True, True, False]


def test_phase_and_share_are_those_of_the_progress_line(shape_search, tmp_path: Path) -> None:
    """Half of the weight is done when the second of two equal phases begins; after an error nothing is loaded again."""
    said: list[str] = []
    page = LivePage(tmp_path / "found.live.html", said.append)
    page.close()
    assert not page.path.exists()
    page.begin()
    with phases("search", {"price": 1, "candidates": 1}) as phase:
        with phase("price"):
            pass
        with phase("candidates"):
            page.write(shape_search)
    assert "candidates, 50 % of the whole done" in page.path.read_text()
    page.close()
    assert REFRESH not in page.path.read_text()
    page.remove()
    assert list(tmp_path.iterdir()) == []
    assert said == [f"{page.path}: shows the search while it runs, from the first candidate on"]


def test_a_full_disk_costs_one_warning(
    shape_search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it cannot be written, the search goes on."""

    def full(path: Path, text: str) -> None:
        raise OutputError(f"{path}: the disk is full; free some space and run again")

    monkeypatch.setattr(live_module, "write_text", full)
    page = LivePage(tmp_path / "page.html", print)
    for _ in range(2):
        page.write(shape_search)
    assert [record.getMessage() for record in caplog.records] == [
        f"the page of the running search is not written: {page.path}: the disk is full; free some space and run again"
    ]
