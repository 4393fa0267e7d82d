"""Old names of options: hidden, understood, and told of on stderr."""

import click
import pytest
from click.testing import CliRunner

from quantkit.cli import options
from quantkit.cli.main import main
from quantkit.cli.options.given import Given
from quantkit.cli.options.table import OPTIONS

RENAMED = [
    (section, option.names[0], spelling)
    for section, entries in OPTIONS.items()
    for option in entries
    for spelling in option.was
]


def said(section: str, *arguments: str) -> Given:
    """Return what a command with the options of a section gets."""
    found: list[Given] = []

    @click.command()
    @options.settings(section)
    def command(*, given: Given) -> None:
        found.append(given)

    CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    return found[0]


def test_there_are_old_names() -> None:
    """The options that were renamed for one release; when their time is over, the marks at the fields go."""
    assert {spelling for _, _, spelling in RENAMED} == {"--calib-samples", "--select-samples"}


@pytest.mark.parametrize(("section", "today", "spelling"), RENAMED)
@pytest.mark.parametrize("value", ["0", "3"])
def test_an_old_name_works_and_warns(
    section: str, today: str, spelling: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It says what today's name says, and a warning names that."""
    expected = said(section, today, value)
    assert caplog.messages == []
    assert said(section, spelling, value) == expected
    assert caplog.messages == [f"{spelling}: is called {today} now; write that"]


def test_the_warning_is_a_line_on_stderr() -> None:
    """In the command line it is one line before whatever comes, and help does not list the old name."""
    result = CliRunner().invoke(main, ["sensitivity", "nowhere", "--calib", "squad", "--calib-samples", "3"])
    first, *rest = result.stderr.splitlines()
    assert first == "warning: --calib-samples: is called --calib-questions now; write that"
    assert len(rest) == 1
    assert "--calib-samples" not in CliRunner().invoke(main, ["sensitivity", "--help"]).output


@pytest.mark.parametrize("order", [1, -1])
def test_both_names_are_an_error(order: int) -> None:
    """Whichever comes first."""
    names = ["--calib-samples=3", "--calib-questions=3"][::order]
    result = CliRunner().invoke(main, ["sensitivity", "nowhere", "--calib", "squad", *names])
    assert result.exit_code == 2
    assert (
        result.stderr == "error: --calib-samples: is the old name of --calib-questions, given too; keep one\n"
    )
