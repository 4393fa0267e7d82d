"""quantkit report: tables, JSON, Markdown, a page; mistakes are one line."""

import json
from pathlib import Path

from click.testing import CliRunner

from quantkit.cli.main import main


def _call(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_report_prints_and_writes(make_artifact, pass_gate, tmp_path: Path) -> None:
    """Each way to show it, from what the artifact carries; the page is written where it was asked for."""
    artifact = make_artifact(tmp_path / "small")
    pass_gate(artifact)
    code, text, messages = _call("report", str(artifact.path), "-o", str(tmp_path / "page.html"))
    assert (0, f"page: {tmp_path / 'page.html'}\n") == (code, messages)
    assert "Table 2: INT8" in text
    assert f"no throughput of all: quantkit bench {artifact.path}" in text
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    code, text, _ = _call("report", str(artifact.path), "--json")
    assert (
        json.loads(text)["schema"],
        json.loads(text)["entries"][0]["score"],
    ) == ("quantkit/report/2", 100.0)
    assert _call("report", str(artifact.path), "--markdown")[1].startswith("# quantkit report\n")


def test_mistakes_are_one_line(make_artifact, tmp_path: Path) -> None:
    """No artifact, both formats, and a file that is no bench report."""
    artifact = str(make_artifact(tmp_path / "small").path)
    assert _call("report")[0] == 2
    assert "only one of them" in _call("report", artifact, "--json", "--markdown")[2]
    code, _, messages = _call("report", artifact, "--bench", str(tmp_path / "small" / "config.json"))
    assert code == 2
    assert "is not a quantkit/bench/2 report" in messages
    assert messages.count("\n") == 1
