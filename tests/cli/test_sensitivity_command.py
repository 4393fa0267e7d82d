"""quantkit sensitivity: options reach the stage; table, report and figure come of it."""

import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.cli.show import print_sensitivity
from quantkit.recipe.settings import SensitivitySettings


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def made(tmp_path: Path, make_artifact) -> Artifact:
    return make_artifact(tmp_path / "made", precision="fp32")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, make_sensitivity) -> list[dict[str, Any]]:
    """Replace the stage by one that keeps what it was called with and returns a report at once."""
    found: list[dict[str, Any]] = []

    def sensitivity(artifact: Artifact, **options: Any) -> object:
        found.append({"artifact": artifact.digest, **options})
        return make_sensitivity()

    stage = types.ModuleType("quantkit.stages.sensitivity")
    stage.sensitivity = sensitivity
    monkeypatch.setitem(sys.modules, "quantkit.stages.sensitivity", stage)
    return found


def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.style", raising=False)


def test_options_become_settings(made: Artifact, calls, tmp_path: Path) -> None:
    """Every option is a field of the section; JSON is the report that the artifact keeps."""
    options = "--calib squad --calib-questions 7 --questions 9 --budget 60 --seed 3 --data-dir d --json"
    result = invoke("sensitivity", made.path, *options.split())
    assert result.exit_code == 0, result.stderr
    expected = SensitivitySettings(calib="squad", calib_questions=7, questions=9, budget=60.0, seed=3)
    assert [{"artifact": made.digest, "settings": expected, "data_dir": Path("d")}] == calls
    assert json.loads(made.report_path("sensitivity.json").read_text()) == json.loads(result.stdout)


def test_table_has_the_worst_first(made: Artifact, calls) -> None:
    """The group to look at is on top, with the longest bar."""
    result = invoke("sensitivity", made.path, "--calib", "squad")
    assert result.exit_code == 0, result.stderr
    rows = [line for line in result.stdout.splitlines() if "%" in line]
    damages = [float(re.findall(r"\d\.\d*e-\d+|0\.\d+|\b\de-\d+", row)[0]) for row in rows]
    assert len(rows) == 25
    assert rows[0].split()[:2] == ["4", "output"]
    assert sorted(damages, reverse=True) == damages
    assert "█" * 12 in rows[0]


def test_groups_measured_together_are_told(made: Artifact, make_sensitivity, capsys) -> None:
    """A budget that was too short for each alone shows in the table."""
    report = make_sensitivity()
    first, second, *others = report.groups
    shared = first.model_copy(update={"measured_with": (second.group,)})
    print_sensitivity(report.model_copy(update={"groups": (shared, second, *others)}))
    assert "0 attention.output" in capsys.readouterr().out
    print_sensitivity(report)
    assert "measured with" not in capsys.readouterr().out


def test_figure_is_kept_in_the_artifact(made: Artifact, calls) -> None:
    """The figure stands beside the report, and stderr says where."""
    pytest.importorskip("matplotlib")
    result = invoke("sensitivity", made.path, "--calib", "squad")
    figure = made.report_path("sensitivity.png")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert f"figure: {figure}" in result.stderr


def test_plot_chooses_the_place(made: Artifact, calls, tmp_path: Path) -> None:
    """--plot writes there and not into the artifact."""
    pytest.importorskip("matplotlib")
    result = invoke("sensitivity", made.path, "--calib", "squad", "--plot", tmp_path / "x.png")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert not made.report_path("sensitivity.png").exists()


def test_missing_matplotlib_costs_only_the_figure(made: Artifact, calls, monkeypatch) -> None:
    """What was measured is printed and kept; that there is no figure is said."""
    without_matplotlib(monkeypatch)
    result = invoke("sensitivity", made.path, "--calib", "squad")
    assert result.exit_code == 0, result.stderr
    assert made.report_path("sensitivity.json").is_file()
    assert (
        'no figure: a figure needs matplotlib, which is not installed; run pip install "quantkit[report]"'
        in (result.stderr)
    )


def test_missing_matplotlib_is_told_before_the_work(made: Artifact, calls, monkeypatch) -> None:
    """A figure that was asked for and cannot be is a mistake, minutes earlier."""
    without_matplotlib(monkeypatch)
    result = invoke("sensitivity", made.path, "--calib", "squad", "--plot", "x.png")
    assert (result.exit_code, calls) == (2, [])
    assert "error: a figure needs matplotlib" in result.stderr


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--budget", "0"], "error: --budget: should be greater than 0"),
        (["--questions", "0"], "error: --questions: should be greater than or equal to 1"),
    ],
)
def test_mistakes(made: Artifact, calls, options: list[str], line: str) -> None:
    """A number that cannot be is one line."""
    result = invoke("sensitivity", made.path, "--calib", "squad", *options)
    assert (result.exit_code, calls) == (2, [])
    assert result.stderr.startswith(line)
