"""Tracked: one display for nested work, and plain lines where there is no terminal."""

import subprocess
import sys
import time

import pytest

from quantkit.progress import lines, phases, step, tracked, work
from quantkit.progress.lines import line_of
from quantkit.progress.tracked import track


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[work.Work]:
    """Return what is displayed, in place of a display."""
    shown: list[work.Work] = []

    class Kept:
        def __init__(self, one: work.Work) -> None:
            shown.append(one)

        def __enter__(self) -> None:
            pass

        def __exit__(self, *raised: object) -> None:
            pass

    monkeypatch.setattr(tracked, "_display", Kept)
    return shown


def test_what_begins_inside_shows_in_the_line_of_the_outermost(displayed: list[work.Work]) -> None:
    """Nothing draws two bars."""
    with phases("auto", {"damages": 1, "candidates": 1}) as phase:
        with phase("damages"), track("sensitivity", 4, "passes") as advance:
            advance(1)
            line = line_of(displayed[0])
        with phase("candidates"), step("candidate 1"):
            pass
        share = displayed[0].share
    assert line == "auto: damages: sensitivity 1/4 passes, 12 %"
    assert (share, len(displayed)) == (1.0, 1)


def test_what_comes_after_has_a_line_of_its_own(displayed: list[work.Work]) -> None:
    """An error inside leaves nothing behind."""
    with pytest.raises(ZeroDivisionError), track("evaluate", 1):
        _ = 1 / 0
    with track("bench", 1):
        pass
    assert [one.what for one in displayed] == ["evaluate", "bench"]


def test_lines_are_printed_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, with what is done and what goes on; none where progress is off."""
    monkeypatch.setattr(lines, "_FIRST", 0.0)
    monkeypatch.setattr(lines, "_LOOK", 0.001)
    said = []
    for how in ("lines", "off"):
        monkeypatch.setenv(lines.HOW, how)
        with track("evaluate", 8, "windows") as advance:
            advance(2)
            until = time.monotonic() + (30 if how == "lines" else 0.01)
            text = ""
            while "evaluate, 2/8 windows" not in text and time.monotonic() < until:
                time.sleep(0.001)
                text += capsys.readouterr().err
        said.append(text)
    assert "evaluate, 2/8 windows" in said[0]
    assert said[1] == ""


def test_a_library_says_nothing_where_there_is_no_terminal() -> None:
    """Only a command prints lines into a log."""
    code = (
        "from quantkit.progress import lines, speak; from quantkit.progress.lines import spoken\n"
        "before = spoken(); speak(); print(before, spoken())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PATH": ""}, cwd="."
    )
    assert done.stdout == "False True\n"


def test_a_word_that_nobody_knows_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A slip in the variable changes nothing, and a warning says so."""
    monkeypatch.setattr(lines, "_speaking", False)
    monkeypatch.setenv(lines.HOW, "loud")
    lines.speak()
    assert caplog.messages == ["$QUANTKIT_PROGRESS: 'loud' is none of bar, lines, off, and changes nothing"]
    assert lines.spoken()
