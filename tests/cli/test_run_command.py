"""`quantkit run`: overrides, plan, tables and exit codes."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from oci_server import RegistryServer

from quantkit.cli.main import main
from quantkit.pipeline import stages as stages_module

FAKES = Path(__file__).resolve().parents[1] / "pipeline" / "fakes.py"


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("cli_fakes", FAKES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fakes = module.Fakes(tmp_path / "log")
    for module, name, fake in fakes.replacements():
        monkeypatch.setattr(module, name, fake)
    monkeypatch.chdir(tmp_path)
    return fakes


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["run", "minilm-dynamic", *arguments])


def test_run_ends_with_the_table(fakes: Any, tmp_path: Path) -> None:
    """People read every step, F1, ratio, coverage, size, throughput, the verdict and the published path."""
    result = run()
    assert result.exit_code == 0, result.stderr
    expected = (
        "export",
        "peak memory",
        "FP32 100.000",
        "1.000000",
        "100.00 %",
        "4.00 x smaller",
        "2.00 x FP32",
        "pass",
    )
    assert [
        part for part in (*expected, "registry/minilm-squad-dynamic/1.0.0") if part not in result.stdout
    ] == []
    assert "gate: pass, ratio 1.000000" in result.stderr
    assert (tmp_path / "runs" / "minilm-dynamic" / "03-int8").is_dir()
    assert "(already published)" in run().stdout


def test_a_run_ends_in_an_oci_registry(fakes: Any, memory_registry: RegistryServer, tmp_path: Path) -> None:
    """The table has the reference with its digest, and leads to reports that lie on this machine."""
    result = run("--set", f"publish.registry=oci://{memory_registry.host}/team", "--work", "here")
    assert result.exit_code == 0, result.stderr
    expected = f"oci://{memory_registry.host}/team/minilm-squad-dynamic:1.0.0@sha256:"
    assert [part for part in (expected, "here/03-int8/reports/gate.md") if part not in result.stdout] == []


def test_json_is_the_report(fakes: Any, tmp_path: Path) -> None:
    """--json prints one object, which is also in the work folder."""
    result = run("--json", "--work", "here")
    content = json.loads(result.stdout)
    assert content["schema"] == "quantkit/run/1"
    assert json.loads((tmp_path / "here" / "run.json").read_text()) == content


@pytest.mark.parametrize(("policy", "code"), [("mlperf", 3), ("statistical", 4)])
def test_exit_code_is_the_verdict(fakes: Any, tmp_path: Path, policy: str, code: int) -> None:
    """A gate that does not pass is exit code 3 or 4, and nothing is published."""
    fakes.wrong = 1
    result = run("--set", f"gate.policy={policy}")
    assert code == result.exit_code
    assert not (tmp_path / "registry").exists()


def test_overrides_reach_the_stages(fakes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--checkpoint, --set and --data-dir arrive where they are used."""
    seen: dict[str, Any] = {}
    export, quantize = fakes.export, fakes.quantize

    def note_export(checkpoint: str, out: Path, **options: Any) -> Any:
        seen["checkpoint"] = checkpoint
        return export(checkpoint, out, **options)

    def note_quantize(artifact: Any, out: Path, **options: Any) -> Any:
        seen.update(options)
        return quantize(artifact, out, **options)

    monkeypatch.setattr(stages_module, "export", note_export)
    monkeypatch.setattr(stages_module, "quantize", note_quantize)
    assert run("--checkpoint", "mine", "--set", "quantize.seed=9", "--data-dir", "d").exit_code == 0
    assert (seen["checkpoint"], seen["settings"].seed, seen["data_dir"]) == ("mine", 9, Path("d"))


def test_dry_run(fakes: Any, tmp_path: Path) -> None:
    """A plan is a table or one JSON object, and leaves no trace."""
    table = run("--dry-run")
    assert table.exit_code == 0, table.stderr
    assert "first time" in table.stdout
    plan = json.loads(run("--dry-run", "--json").stdout)
    assert plan["schema"] == "quantkit/plan/1"
    assert plan["steps"][0]["step"] == "export"
    assert not (tmp_path / "runs").exists()


def test_code_is_allowed_or_never_run(fakes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan reads the file of a metric and runs nothing; a run refuses before its first step."""
    from quantkit.shipped import recipes_folder

    recipe = (recipes_folder() / "minilm-dynamic.yaml").read_text()
    asked = recipe.replace("evaluate:\n", "evaluate:\n  metric: mine:score\n")
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "own.yaml").write_text(asked)
    (beside / "mine.py").write_text("raise SystemExit('it ran')\n")
    plan = CliRunner().invoke(main, ["run", str(beside / "own.yaml"), "--dry-run"])
    assert (plan.exit_code, "it ran" in plan.output) == (0, False)
    refused = CliRunner().invoke(main, ["run", str(beside / "own.yaml")])
    assert refused.exit_code == 2
    assert refused.stderr.strip().endswith(
        "would run Python code; read it, then allow it with --allow-code, or leave the metric out"
    )
    assert not (tmp_path / "runs").exists()
    allowed = CliRunner().invoke(main, ["run", str(beside / "own.yaml"), "--allow-code"])
    assert "mine.py: raised SystemExit: it ran; mend it" in allowed.stderr
