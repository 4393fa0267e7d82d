"""Reports of older schemas: read with today's names, and with nothing guessed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_records import FOUR

from quantkit.errors import ArtifactError
from quantkit.records import BenchReport, Report, SearchReport, Sensitivity

Change = Callable[[dict[str, Any]], None]


def move(content: dict[str, Any], new: str, old: str) -> None:
    """Give a key the name it had."""
    content[old] = content.pop(new)


def old_bench(content: dict[str, Any]) -> None:
    """Make the content that of quantkit/bench/1."""
    move(content, "windows", "samples")
    for result in content["results"]:
        move(result, "profile", "runs")


def old_sensitivity(content: dict[str, Any]) -> None:
    """Make the content that of quantkit/sensitivity/1."""
    move(content, "choice", "scheme")


def old_search(content: dict[str, Any]) -> None:
    """Make the content that of quantkit/search/1."""
    for group in content["groups"]:
        move(group, "options", "choices")


@pytest.fixture
def reports(make_search, make_sensitivity) -> dict[type[Report], tuple[Report, Change]]:
    return {
        BenchReport: (FOUR, old_bench),
        SearchReport: (make_search(), old_search),
        Sensitivity: (make_sensitivity(), old_sensitivity),
    }


@pytest.mark.parametrize("kind", [BenchReport, SearchReport, Sensitivity])
def test_the_schema_before_is_read(reports, tmp_path: Path, kind: type[Report]) -> None:
    """A report under the names of schema 1 is the same report."""
    report, older = reports[kind]
    content = report.as_json()
    older(content)
    content["schema"] = content["schema"].replace("/2", "/1")
    (tmp_path / "report.json").write_text(json.dumps(content))
    assert kind.read(tmp_path / "report.json") == report


@pytest.mark.parametrize("kind", [BenchReport, SearchReport, Sensitivity])
def test_old_names_under_the_new_schema_are_refused(reports, tmp_path: Path, kind: type[Report]) -> None:
    """The schema says which names a report has; no report may have both."""
    report, older = reports[kind]
    content = report.as_json()
    older(content)
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=r"report.json: .*make the report again"):
        kind.read(tmp_path / "report.json")


@pytest.mark.parametrize("broken", [None, 3, "x", [], [1], {"a": 1}])
def test_a_damaged_old_report_is_one_line(tmp_path: Path, broken: Any) -> None:
    """What an upgrade cannot make sense of is refused like any other damaged report."""
    content = {"schema": "quantkit/bench/1", "results": broken}
    (tmp_path / "bench.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=r"bench.json: .*make the report again"):
        BenchReport.read(tmp_path / "bench.json")
