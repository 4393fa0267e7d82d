"""benchmarks/results_page.py: docs/results.md shows the numbers that are kept, as they were measured."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from scripts import load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Return the script as a module."""
    return load_script("benchmarks/results_page.py", "results_page_script")


def test_the_page_has_the_kept_numbers(script: ModuleType) -> None:
    """A number that is changed by hand, or a row that was added and not shown, is found."""
    assert script.main(["--check"]) == 0


@pytest.mark.parametrize("table", ["lines", "shapes", "ladders"])
def test_every_table_is_on_the_page(script: ModuleType, table: str) -> None:
    """No kind of row is kept and never shown."""
    shown = [found.group(2) for found in script.BLOCK.finditer(script.PAGE.read_text(encoding="utf-8"))]
    assert shown.count(table) == 1


def test_a_run_becomes_a_row(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row has what the run measured of its candidate; a ratio is cut, so that 0.99899 is not shown as 99.9 %."""
    reports = tmp_path / "work" / "03-int8" / "reports"
    reports.mkdir(parents=True)
    run = {
        "recipe": "mine",
        "verdict": "fail",
        "baseline_f1": 80.0,
        "candidate_f1": 79.9196,
        "ratio": 0.998995,
        "changed": 0.02,
        "questions": 100,
        "int8_coverage": 0.99996,
        "baseline_bytes": 4_000_000,
        "candidate_bytes": 1_000_000,
        "artifact": "b",
    }
    bench = {
        "repeats": 5,
        "results": [
            {"artifact": "a", "ratio": 1.0, "interval": [1.0, 1.0]},
            {"artifact": "b", "ratio": 1.5, "interval": [1.4, 1.6]},
        ],
        "tools": {"onnxruntime": "1"},
        "cpu": {"instruction_sets": ["avx2", "avx512_vnni"]},
    }
    (tmp_path / "work" / "run.json").write_text(json.dumps(run))
    (reports / "bench.json").write_text(json.dumps(bench))
    page = tmp_path / "results.md"
    page.write_text("<!-- lines: made by benchmarks/results_page.py -->\nold\n<!-- end -->\n")
    monkeypatch.setattr(script, "ROWS", tmp_path / "rows")
    monkeypatch.setattr(script, "PAGE", page)
    arguments = ["line", str(tmp_path / "work"), "--name", "mine", "--cpu", "Zen 5", "-o", "mine"]
    assert script.main(arguments) == 0
    assert page.read_text().splitlines()[4:-1] == [
        "| mine | Zen 5, AVX512-VNNI | 79.920 | 99.899 % | fail | 2.00 % | 99.9 % | 1.0 MB | 1.50 x (1.40 to 1.60) |",
        "",
    ]
    assert script.main(["--check"]) == 0
