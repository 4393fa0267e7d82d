"""The commands that are stages: options become settings, settings reach the stage, results are printed."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.recipe import (
    BenchSettings,
    EvaluateSettings,
    ExportSettings,
    FuseSettings,
    GateSettings,
    QuantizeSettings,
)
from quantkit.recipe.settings import KeepFloat
from quantkit.records import BenchReport, BenchResult, Evaluation, GateReport, Inspection


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def made(tmp_path: Path, make_artifact) -> Artifact:
    return make_artifact(tmp_path / "made")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch):
    """Replace a stage by one that keeps what it was called with, prints to stdout, and returns a result."""

    def replace(target: str, result: object) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def fake(*arguments: Any, **options: Any) -> object:
            print("a library talks to stdout")  # noqa: T201 - as libraries do
            calls.append((arguments, options))
            return result

        monkeypatch.setattr(target, fake)
        return calls

    return replace


def test_export_is_export_and_fuse(made: Artifact, stage, tmp_path: Path) -> None:
    """The exported artifact is an intermediate that goes away; options reach both stages."""
    exported = stage("quantkit.pipeline.fusing.export", made)
    fused = stage("quantkit.pipeline.fusing.fuse", made)
    options = (
        "--task",
        "question-answering",
        "--opset",
        "15",
        "--atol",
        "0.01",
        "--allow-partial-fusion",
        "--json",
    )
    result = invoke("export", "-m", "checkpoint", "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.stderr
    assert made.digest == json.loads(result.stdout)["artifact"]
    assert "a library talks" in result.stderr
    (arguments, chosen), (fuse_arguments, fuse_chosen) = exported[0], fused[0]
    assert arguments[0] == "checkpoint"
    assert not arguments[1].parent.exists()
    assert {"task": "squad", "settings": ExportSettings(opset=15, atol=0.01)} == chosen
    assert (made, tmp_path / "out") == fuse_arguments
    assert {"settings": FuseSettings(allow_partial=True), "force": False} == fuse_chosen
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_export_without_fusing(made: Artifact, stage, tmp_path: Path) -> None:
    """--no-fuse exports straight to the output folder."""
    exported = stage("quantkit.pipeline.fusing.export", made)
    assert invoke("export", "checkpoint", "-o", tmp_path / "out", "--no-fuse").exit_code == 0
    assert tmp_path / "out" == exported[0][0][1]


def test_export_refuses_a_folder_in_use_before_any_work(made: Artifact, stage) -> None:
    """An output folder that is not empty is told before minutes of export."""
    exported = stage("quantkit.pipeline.fusing.export", made)
    result = invoke("export", "checkpoint", "-o", made.path)
    assert (result.exit_code, exported) == (2, [])
    assert "is not empty" in result.stderr


def test_fuse(made: Artifact, stage, tmp_path: Path) -> None:
    """Options reach the stage; what was made is printed."""
    calls = stage("quantkit.stages.fuse.fuse", made)
    result = invoke("fuse", made.path, "-o", tmp_path / "out", "--no-embed-layer-norm", "--force")
    assert result.exit_code == 0, result.stderr
    assert {"settings": FuseSettings(embed_layer_norm=False), "force": True} == calls[0][1]
    assert made.digest in result.stdout


def test_quantize_options_become_settings(made: Artifact, stage, tmp_path: Path) -> None:
    """Every option is a field of the section, and repeats are kept in order."""
    calls = stage("quantkit.stages.quantize.quantize", made)
    options = "--mode static --calib x.json --calib-method percentile --percentile 99.5 --calib-questions 7 --seed 3"
    more = "--no-per-channel --reduce-range yes --keep-float a --nodes-to-exclude b --data-dir d --json"
    result = invoke("quantize", made.path, "-o", tmp_path / "out", *options.split(), *more.split())
    assert result.exit_code == 0, result.stderr
    because = "asked for on the command line"
    expected = QuantizeSettings(
        mode="static",
        calib="x.json",
        calib_method="percentile",
        percentile=99.5,
        calib_questions=7,
        seed=3,
        per_channel=False,
        reduce_range="yes",
        keep_float=(KeepFloat(pattern="a", because=because), KeepFloat(pattern="b", because=because)),
    )
    assert calls[0][1] == {"settings": expected, "data_dir": Path("d"), "force": False}
    assert json.loads(result.stdout)["schema"] == "quantkit/artifact/1"


def test_quantize_config_is_below_options(made: Artifact, stage, tmp_path: Path) -> None:
    """Defaults, then --config, then options; what --save-config writes reads back as the same settings."""
    calls = stage("quantkit.stages.quantize.quantize", made)
    config, saved = tmp_path / "config.yaml", tmp_path / "saved.yaml"
    config.write_text("mode: dynamic\nseed: 5\nkeep_float: [{pattern: a, because: b}]\n")
    first = invoke(
        "quantize",
        made.path,
        "-o",
        tmp_path / "out",
        "--config",
        config,
        "--seed",
        "6",
        "--save-config",
        saved,
    )
    assert first.exit_code == 0, first.stderr
    expected = QuantizeSettings(mode="dynamic", seed=6, keep_float=(KeepFloat(pattern="a", because="b"),))
    assert calls[0][1]["settings"] == expected
    assert invoke("quantize", made.path, "-o", tmp_path / "out", "--config", saved).exit_code == 0
    assert calls[1][1]["settings"] == expected
    config.write_text("mood: dynamic\n")
    wrong = invoke("quantize", made.path, "-o", tmp_path / "out", "--config", config)
    assert wrong.exit_code == 2
    assert "mood: unknown key; did you mean mode?" in wrong.stderr


def test_evaluate(made: Artifact, stage, pass_gate) -> None:
    """Options reach the stage; JSON is the report itself."""
    pass_gate(made)
    evaluation = Evaluation.read(made.report_path("evaluation.json"))
    calls = stage("quantkit.stages.evaluate.evaluate", evaluation)
    result = invoke(
        "evaluate", made.path, "--data", "x", "--limit", "5", "--threads", "2", "--refresh", "--json"
    )
    assert evaluation.as_json() == json.loads(result.stdout)
    settings = EvaluateSettings(data="x", limit=5, threads=2)
    assert {
        "settings": settings,
        "data_dir": None,
        "refresh": True,
        "cached": True,
        "elsewhere": None,
        "own": None,
    } == calls[0][1]
    table = invoke("evaluate", "-m", made.path)
    assert "100.000" in table.stdout


def test_inspect_and_bench_keep_their_reports(made: Artifact, stage) -> None:
    """The JSON that is printed is also the file in the artifact."""
    inspection = Inspection(
        artifact=made.digest,
        architecture="bert",
        task="squad",
        precision="int8",
        parameters=1234,
        size_bytes=5,
        fused={"SkipLayerNormalization": 2},
        expected_fusions={"SkipLayerNormalization": 2, "BiasGelu": 1},
        kernels={"MatMulIntegerToFloat": 4},
        int8_coverage=0.975,
    )
    stage("quantkit.api.proving.inspect_stage", inspection)
    printed = json.loads(invoke("inspect", made.path, "--json").stdout)
    assert inspection.as_json() == printed == json.loads(made.report_path("inspection.json").read_text())
    table = invoke("inspect", made.path).stdout
    assert all(part in table for part in ("1,234", "97.50 %", "MatMulIntegerToFloat", "BiasGelu"))

    result = BenchResult(artifact=made.digest, name="made", qps=10.0, ratio=1.0, spread=(0.9, 1.1))
    report = BenchReport(
        scenario="offline", dataset_name="x", dataset="0", windows=1, repeats=2, threads=1, results=(result,)
    )
    calls = stage("quantkit.stages.bench.bench", report)
    printed = json.loads(invoke("bench", made.path, "--questions", "9", "--json").stdout)
    assert report.as_json() == printed == json.loads(made.report_path("bench.json").read_text())
    assert BenchSettings(questions=9) == calls[0][1]["settings"]
    assert "0.90 to 1.10" in invoke("bench", made.path).stdout
    assert made.report_path("bench.md").read_text().startswith("## quantkit bench: offline")
    assert made.report_path("bench.png").is_file()


def test_noisy_bench_is_inconclusive(made: Artifact, stage) -> None:
    """Without a ratio there is exit code 4, a line that says why, and no chart, not even an older one."""
    result = BenchResult(
        artifact=made.digest,
        name="made",
        qps=10.0,
        ratio=None,
        spread=(0.5, 2),
        interval=(0.7, 1.4),
        noise=0.7,
    )
    report = BenchReport(
        scenario="offline",
        verdict="too noisy",
        dataset_name="x",
        dataset="0",
        windows=1,
        repeats=20,
        threads=1,
        max_spread=0.1,
        results=(result,),
    )
    made.write_report("bench.png", b"old")
    stage("quantkit.stages.bench.bench", report)
    table = invoke("bench", made.path)
    assert table.exit_code == 4
    assert "too noisy" in table.stdout
    assert "too noisy: after 20 rounds a median is known to 70 % only, 10 % are asked for" in table.stderr
    printed = invoke("bench", made.path, "--json")
    assert (
        printed.exit_code,
        json.loads(printed.stdout)["results"][0]["ratio"],
        json.loads(made.report_path("bench.json").read_text())["verdict"],
    ) == (4, None, "too noisy")
    assert not made.report_path("bench.png").exists()


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 3), ("inconclusive", 4)])
def test_gate_verdict_is_the_exit_code(
    made: Artifact, stage, tmp_path: Path, make_artifact, pass_gate, verdict: str, code: int
) -> None:
    """0, 3 and 4; options reach the gate; JUnit and Markdown are written where asked."""
    baseline = make_artifact(tmp_path / "baseline", model=b"fp32", precision="fp32")
    report: GateReport = pass_gate(made, verdict=verdict)
    calls = stage("quantkit.pipeline.judging.judge", report)
    junit, markdown = tmp_path / "out" / "junit.xml", tmp_path / "out" / "gate.md"
    options = (
        "--data",
        "x",
        "--min-ratio",
        "0.99",
        "--reference-f1",
        "90.874",
        "--policy",
        "statistical",
        "--json",
    )
    files = ("--junit", junit, "--markdown", markdown)
    result = invoke("gate", made.path, "--baseline", baseline.path, *options, *files)
    assert code == result.exit_code, result.stderr
    assert report.as_json() == json.loads(result.stdout)
    terms = calls[0][1]["terms"]
    assert EvaluateSettings(data="x") == terms.evaluate
    assert GateSettings(min_ratio=0.99, reference_f1=90.874, policy="statistical") == terms.gate
    assert junit.read_text().startswith("<?xml")
    assert verdict in markdown.read_text()
    table = invoke("gate", made.path, "--baseline", baseline.path)
    assert verdict.upper() in table.stdout
