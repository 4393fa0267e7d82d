"""The pure parts of the comparison with other tools: ratios, the table, what scripts say, environments' names."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scripts import load_script

PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"


def script(name: str) -> ModuleType:
    """Return a script of the comparison, imported under a name nobody else has."""
    return load_script(f"benchmarks/peers/{name}.py", f"peers_{Path(name).stem}")


ROWS = script("rows")
ENVIRONMENTS = script("environments")


def test_ratios_are_taken_within_a_round() -> None:
    """Throughput is compared pass by pass, so a machine that slows down for a round changes no ratio."""
    assert ROWS.against([1.0, 5.0, 2.0], [2.0, 10.0, 4.0]) == (2.0, (2.0, 2.0))


def test_throughput_is_the_median_with_its_extremes() -> None:
    """One odd round moves the spread and not the middle."""
    assert ROWS.against([1.0, 4.0, 1.0], [2.0, 2.0, 3.0]) == (2.0, (0.5, 3.0))


def test_changed_counts_questions_that_got_better_too() -> None:
    """The share of changed questions has no direction."""
    baseline = ROWS.Scores(f1=(1.0, 0.5, 0.0, 0.0), exact_match=(1.0, 0.0, 0.0, 0.0))
    scores = ROWS.Scores(f1=(1.0, 0.4, 0.2, 0.0), exact_match=(1.0, 0.0, 0.0, 0.0))
    assert ROWS.changed_share(scores, baseline) == 50.0


def test_a_failed_peer_is_a_row_and_its_message_stands_below() -> None:
    """A peer that cannot be run does not disappear from the table."""
    table = ROWS.markdown([ROWS.Row(name="peer", runtime="onnxruntime", error="no wheel")])
    assert (table.splitlines()[2:]) == [
        "| peer | ORT | failed | - | - | - | - | - | - | - | - |",
        "",
        "* peer: no wheel",
    ]


def test_every_row_has_a_cell_for_every_column() -> None:
    """The table is well formed with everything known."""
    row = ROWS.Row(
        name="artifact",
        runtime="openvino",
        precision="bf16",
        f1=75.0,
        exact_match=64.0,
        ratio=99.9,
        changed=1.25,
        coverage=100.0,
        throughput=2.5,
        spread=(2.0, 3.0),
        cost=ROWS.Cost(seconds=1.5, peak_mb=1234.0),
        size_mb=23.0,
    )
    header, _, line = ROWS.markdown([row]).splitlines()
    assert header.count("|") == line.count("|")
    assert "| OpenVINO, bf16 | 75.000 | 64.000 | 99.900 % | 1.2 % | 100.0 % | 2.50 (2.00 to 3.00) |" in line
    assert line.endswith("| 1.5 s | 1,234 MB | 23.0 MB |")


def test_the_result_is_the_last_line_whatever_a_tool_prints_before() -> None:
    """Tools log to standard output; the script's JSON is its last line."""
    assert ENVIRONMENTS.json_of('2026 [INFO] {"not": "this"}\n{"seconds": 1.0}\n') == {"seconds": 1.0}


@pytest.mark.parametrize("output", ["", "done\n", "[1]\n"])
def test_a_script_without_a_result_has_failed(output: str) -> None:
    """A script that ends well and says nothing is a failure, not an empty row."""
    with pytest.raises(ENVIRONMENTS.PeerFailed, match="without a result"):
        ENVIRONMENTS.json_of(output)


def test_a_program_that_fails_is_told_by_its_last_line() -> None:
    """The row of a failed peer says what the peer said."""
    command = [sys.executable, "-c", "raise ValueError('no such kernel')"]
    with pytest.raises(ENVIRONMENTS.PeerFailed, match=r"^ValueError: no such kernel$"):
        ENVIRONMENTS.run_command(command, timeout=600)


def test_a_program_that_hangs_is_ended() -> None:
    """A peer has a time limit."""
    with pytest.raises(ENVIRONMENTS.PeerFailed, match=r"longer than 0\.2 s"):
        ENVIRONMENTS.run_command([sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.2)


def test_calibration_rows_are_read_back_in_order(tmp_path: Path) -> None:
    """What one script writes as `<input>.<row>` the peers' scripts read, row 10 after row 9."""
    measured = script("quantizers/measured")
    arrays = {f"input_ids.{row}": np.full((1, 3), row) for row in range(11)}
    np.savez(tmp_path / "rows.npz", **arrays)
    rows = measured.read_rows(tmp_path / "rows.npz")
    assert [int(row["input_ids"][0, 0]) for row in rows] == list(range(11))


@pytest.mark.parametrize("path", sorted((PEERS / "requirements").glob("*.txt")), ids=lambda path: path.stem)
def test_every_peer_is_pinned(path: Path) -> None:
    """An environment built next year has the same tools; nothing floats."""
    names = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    loose = {name for name in names if name and "==" not in name}
    assert loose == set()


def test_a_page_says_what_to_type(tmp_path: Path) -> None:
    """Files, commands of fences and of tables in the order of the page, and what they print and end with."""
    page = tmp_path / "page.md"
    page.write_text(
        '```python title="a.py"\nprint(1)\n```\n'
        "| to | other | quantkit |\n|---|---|---|\n| do | `other x`, `other y` | (`--no`) |\n\n"
        "| | other |\n|---|---|\n| code | `not run` |\n"
        '```console\n$ quantkit z\nFAIL  it\n```\n```console title="other"\n$ python a.py\n1 … 2\n```\n'
    )
    read = script("pages").read_page(page, {"other", "quantkit"})
    assert read.files == {"a.py": "print(1)\n"}
    assert [(each.environment, each.line, each.code) for each in read.commands] == [
        ("other", "other x", 0),
        ("other", "other y", 0),
        ("quantkit", "quantkit z", 3),
        ("other", "python a.py", 0),
    ]
    assert read.commands[3].not_printed("  1 and 2\n") == []
    assert read.commands[3].not_printed("1 and 3\n") == ["1 … 2"]
