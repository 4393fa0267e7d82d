"""Words of others: no order to a terminal or a CI system, no turned line, whichever way they are shown."""

import io
import json
import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from report_records import bench_report, bench_result, gate_report
from rich.console import Console

from quantkit.cli.main import main
from quantkit.printable import cell, json_spelled_out, one_line, spelled_out
from quantkit.records import Check, GateReport
from quantkit.report.junit import gate_junit
from quantkit.report.markdown import bench_markdown, gate_markdown
from quantkit.report.pages.template import render
from quantkit.report.terminal import show

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = {
    "a screen that is cleared": "\x1b[2J\x1b[31mpass",
    "one byte for an escape": "\x9b2J",
    "a title": "\x1b]0;owned\x07",
    "a link": "\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\",
    "a line that turns around": "gate\u202essap\u2066",
    "a line begun again": "fail\rpass",
    "a letter taken back": "fail\b\b\b\bpass",
    "half a pair": "a\ud800b",
    "letters without width": "sq\u200buad\ufeff",
    "a tag": "squad\U000e0041\U000e007f",
    "lines of Unicode": "a\u2028::error::b\u0085::error::c",
    "an order to GitHub": "::error title=x::y",
    "one behind spaces": "  ::stop-commands::token",
    "one behind a line feed": "a\n::set-output name=verdict::pass",
    "an old order to GitHub": "x ##[error]y",
    "an order to Azure": "##vso[task.complete result=Succeeded;]",
    "an order to TeamCity": "##teamcity[buildStatus status='SUCCESS']",
    "an order a column makes": "a" * 30 + "::error" + " " * 3 + "::x",
}
_ORDER = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)


def is_harmless(text: str) -> bool:
    """Tell whether text can be printed: letters, spaces and line feeds, and no order."""
    kept = ("\n", "\u00a0", "\u202f")
    odd = [one for one in text if unicodedata.category(one)[0] in "CZ" and one != " " and one not in kept]
    return not odd and not _ORDER.search(text)


def hostile_report(text: str) -> GateReport:
    """Return a gate report with this text wherever somebody's words stand."""
    checks = tuple(
        Check(name=text, required=text, observed=text, verdict=verdict) for verdict in ("fail", "pass")
    )
    return gate_report(dataset_name=text, checks=checks)


@pytest.mark.parametrize("name", HOSTILE)
def test_every_way_to_show_text(name: str) -> None:
    """Messages, tables, Markdown, JUnit and pages show the same text without what it would do."""
    text = HOSTILE[name]
    report = hostile_report(text)
    console = Console(file=io.StringIO(), width=60)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    bench = bench_report(bench_result(text, 10.0, "int8"), dataset_name=text)
    junit = gate_junit(report)
    shown = {
        "message": one_line(text),
        "lines": spelled_out(text),
        "cell": cell(text),
        "terminal": console.file.getvalue(),
        "gate.md": gate_markdown(report),
        "bench.md": bench_markdown(bench),
        "junit": junit,
    }
    assert {way: is_harmless(found) for way, found in shown.items()} == dict.fromkeys(shown, True)
    ElementTree.fromstring(junit)


def test_pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A page spells out what it is given, and leaves its own markup alone."""
    markupsafe = pytest.importorskip("markupsafe")
    pytest.importorskip("jinja2")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "t.html").write_text("{{ page.text }}|{{ page.own }}|{{ page.number }}")
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    page = render("t", {"text": "<b>\x1b[2J\u202e", "own": markupsafe.Markup("<i>"), "number": 1.5})
    assert page == r"&lt;b&gt;\x1b[2J\u202e|<i>|1.5"


@given(st.text())
def test_nothing_that_is_no_letter_is_left(text: str) -> None:
    """Whatever text it is, it becomes harmless, and one line where one is asked for."""
    assert all(map(is_harmless, (one_line(text), spelled_out(text), cell(text))))
    assert "\n" not in one_line(text) + cell(text)


@given(st.text(st.characters(codec="utf-8")))
def test_json_reads_back(text: str) -> None:
    """JSON that is printed has the same value, and is harmless too."""
    printed = json_spelled_out(json.dumps({"a": text, text: 1}, ensure_ascii=False))
    assert json.loads(printed) == json.loads(json.dumps({"a": text, text: 1}))
    assert not [letter for letter in printed if not letter.isprintable()]
    assert not re.search(r"##\w*\[", printed)


def test_plain_words_stay() -> None:
    """Names as people give them are shown as they are."""
    for text in ("Köln/größe.json", "日本語", "a [/x] b", "100\u00a0%", "x::1", "🤷", "[::1]:6379", "#1"):
        assert spelled_out(text) == cell(text) == text


@pytest.mark.parametrize("name", ["[/x]", "[bold]x[/bold]", "\x1b[31mx", "::error::x", "a\u202eb"])
@pytest.mark.parametrize(
    "command", ["verify", "inspect", "gate --baseline b", "run", "publish --name n --version 1", "evaluate"]
)
def test_names_on_the_command_line(
    command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that looks like markup or an order is in the one line of its error as it can be printed."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*command.split(), "--", name])
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert is_harmless(result.stderr)
    if ":" not in name:  # `verify` takes name:version apart
        assert name in result.stderr or one_line(name) in result.stderr or repr(name) in result.stderr


def test_verify_of_a_folder_called_like_markup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_artifact, pass_gate
) -> None:
    """The title of a table is no markup."""
    artifact = make_artifact(tmp_path / "[" / "x]")
    pass_gate(artifact)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["verify", "[/x]"])
    assert "[/x]" in result.stdout + result.stderr
    assert result.exit_code != 1


def test_nothing_else_prints() -> None:
    """Only `show` and the one place for errors print; both spell out. Completion prints a script of its own."""
    own = {"show.py", "main.py", "completion.py", "generate.py"}
    found = {
        path.name
        for path in (ROOT / "quantkit").rglob("*.py")
        if re.search(r"click\.echo\(|(?<![\w.])print\(", path.read_text(encoding="utf-8"))
    }
    assert found == own
