"""Bar: one line at 80 columns, whatever it says."""

import io

import pytest
from rich import console as rich_console

from quantkit.progress import bar
from quantkit.progress.work import Whole, Work


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, True), ({"CI": "true"}, False), ({"CI": "false"}, True), ({"QUANTKIT_PROGRESS": "off"}, False)],
)
def test_a_bar_is_for_somebody_before_a_terminal(
    environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for a CI system, though it may pretend to be a terminal; who asks otherwise gets that."""
    monkeypatch.setattr(rich_console.Console, "is_terminal", True)
    for name in ("CI", "QUANTKIT_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert bar.on_terminal() is expected


@pytest.mark.parametrize("counted", [True, False])
def test_the_line_is_no_wider_than_the_terminal(counted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label that is too long loses its end, never the numbers."""
    written = io.StringIO()
    real = rich_console.Console

    def narrow(**asked: object) -> rich_console.Console:
        del asked
        return real(file=written, force_terminal=True, width=80, color_system=None)

    monkeypatch.setattr(rich_console, "Console", narrow)
    work = Work("x" * 200, 8, "windows") if counted else Whole("y" * 200, {"phase": 1})
    with bar.in_bar(work):
        pass
    rows = [row for row in written.getvalue().replace("\r", "\n").splitlines() if "…" in row]
    assert rows
    assert {len(row.partition("\x1b")[0].rstrip()) <= 80 for row in rows} == {True}
    assert (" 0/8 windows" if counted else " 0 %") in rows[-1]
