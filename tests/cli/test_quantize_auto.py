"""quantkit quantize --mode auto: options reach the search, its result is told, a missed target is exit code 3."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.recipe import QuantizeSettings
from quantkit.recipe.settings import AutoSettings
from quantkit.report.search_files import search_files

SEARCH = "--target 0.995 --select s.json --select-questions 7 --gate-data g.json --budget 60 --confidence 0.9"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def made(tmp_path: Path, make_artifact) -> Artifact:
    return make_artifact(tmp_path / "made")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, made: Artifact, make_search):
    """Replace the stage by one that keeps its settings and leaves a search in the artifact."""

    def replace(**options: Any) -> list[QuantizeSettings]:
        calls: list[QuantizeSettings] = []
        files = search_files(make_search(**options), recipe="mode: static\n")

        def quantize(artifact: Artifact, out: Path, *, settings: QuantizeSettings, **others: Any) -> Artifact:
            calls.append(settings)
            for name, content in files.items():
                made.write_report(name, content)
            return made

        monkeypatch.setattr("quantkit.stages.quantize.quantize", quantize)
        return calls

    return replace


def test_options_become_settings(made: Artifact, stage, tmp_path: Path) -> None:
    """Options of the search are fields of `auto`, the techniques are the section's own."""
    calls = stage()
    techniques = "--weight-type uint8 --rounding gptq --bias-correction --symmetric --attention qk"
    options = f"--mode auto --calib c.json --target-isa avx2 {SEARCH} {techniques} --json"
    result = invoke("quantize", made.path, "-o", tmp_path / "out", *options.split())
    assert result.exit_code == 0, result.stderr
    auto = AutoSettings(
        target=0.995, select="s.json", select_questions=7, gate_data="g.json", budget=60.0, confidence=0.9
    )
    expected = QuantizeSettings(
        mode="auto",
        calib="c.json",
        weight_type="uint8",
        rounding="gptq",
        bias_correction=True,
        symmetric=True,
        attention="qk",
        target_isa="avx2",
        auto=auto,
    )
    assert calls == [expected]
    assert made.digest == json.loads(result.stdout)["artifact"]


def test_options_win_over_the_file(made: Artifact, stage, tmp_path: Path) -> None:
    """What the file says of the search stays unless an option says otherwise."""
    calls = stage()
    config = tmp_path / "config.yaml"
    config.write_text("mode: auto\ncalib: c.json\nauto: {target: 0.99, budget: 30.0}\n")
    invoke("quantize", made.path, "-o", tmp_path / "out", "--config", config, "--budget", "40")
    assert AutoSettings(target=0.99, budget=40.0) == calls[0].auto


def test_result_is_told(made: Artifact, stage, tmp_path: Path) -> None:
    """Target, ratio, throughput, coverage, size, and where recipe and page are."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    stage()
    result = invoke("quantize", made.path, "-o", tmp_path / "out", "--mode", "auto")
    assert result.exit_code == 0, result.stderr
    told = ("99.9 % of the FP32 F1: met", "99.904 %", "1.81 x FP32", "85.00 %", "28.0 MB", "16 static")
    assert [words for words in told if words not in result.stdout] == []
    for name in ("search.yaml", "search.html", "pareto.png"):
        assert str(made.report_path(name)) in result.stdout
        assert made.report_path(name).is_file()


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_missed_target_is_exit_3(made: Artifact, stage, tmp_path: Path, more: list[str]) -> None:
    """The artifact is there, what is printed says what it is worth, and a script can tell."""
    stage(met=False)
    result = invoke("quantize", made.path, "-o", tmp_path / "out", "--mode", "auto", *more)
    assert result.exit_code == 3
    assert more or "MISSED" in result.stdout


@pytest.mark.parametrize("mode", [[], ["--mode", "static"], ["--mode", "dynamic"]])
@pytest.mark.parametrize("option", [["--target", "0.99"], ["--gate-data", "squad"], ["--budget", "5"]])
def test_options_of_the_search_need_a_search(
    made: Artifact, stage, tmp_path: Path, mode: list[str], option: list[str]
) -> None:
    """An option that nothing would use is a mistake."""
    calls = stage()
    result = invoke("quantize", made.path, "-o", tmp_path / "out", *mode, *option)
    assert (result.exit_code, calls) == (2, [])
    assert result.stderr.startswith(f"error: {option[0]}: is for --mode auto, and the mode is ")


def test_a_number_that_cannot_be_names_its_option(made: Artifact, stage, tmp_path: Path) -> None:
    """Fields inside `auto` are told by their own option."""
    calls = stage()
    result = invoke("quantize", made.path, "-o", tmp_path / "out", "--mode", "auto", "--confidence", "1")
    assert (result.exit_code, calls) == (2, [])
    assert result.stderr.startswith("error: --confidence: should be less than 1, got 1")


def test_search_without_the_extra_keeps_its_report(make_search, monkeypatch, caplog) -> None:
    """A search is not lost because nothing can draw; what is not written is said."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    files = search_files(make_search(), recipe="mode: static\n")
    assert set(files) == {"search.json", "search.yaml"}
    assert 'run pip install "quantkit[report]"' in caplog.text
