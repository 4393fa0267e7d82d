"""The line: in order, resumed, never half, published only when it passed."""

import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError, DatasetError, UsageError
from quantkit.partial import PARTIAL, partial_folder
from quantkit.pipeline import line as line_module
from quantkit.pipeline import stages as stages_module
from quantkit.pipeline.run import plan, run
from quantkit.pipeline.steps import STEPS
from quantkit.pipeline.work import WorkFolder
from quantkit.registry import DirectoryRegistry
from quantkit.stages import export as export_module
from quantkit.tasks import datasets

FAKES = Path(__file__).with_name("fakes.py")
ROOT = Path(__file__).resolve().parents[2]
WHOLE = ["export", "fuse", "quantize", "evaluate-fp32", "evaluate-int8", "inspect", "bench"]


@pytest.fixture(scope="module")
def fakes_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pipeline_fakes", FAKES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fakes(fakes_module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    fakes = fakes_module.Fakes(tmp_path / "log")
    for module, name, fake in fakes.replacements():
        monkeypatch.setattr(module, name, fake)
    return fakes


@pytest.fixture
def recipe(fakes_module: ModuleType, tmp_path: Path) -> Any:
    return lambda **changes: fakes_module.recipe(tmp_path, **changes)


def test_the_order_of_the_line() -> None:
    """Someone who reads the table sees what happens, in order."""
    assert [step.name for step in STEPS] == [
        "search",
        "distill",
        "export original",
        "fuse original",
        "quantize original",
        "export",
        "fuse",
        "quantize",
        "evaluate baseline",
        "evaluate student",
        "evaluate original int8",
        "evaluate candidate",
        "inspect original",
        "inspect student",
        "inspect",
        "gate",
        "bench",
        "publish",
    ]


def test_a_noisy_bench_ends_no_run(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """A bench without a ratio is reported as too noisy, and the artifact is published all the same."""
    fakes.bench_verdict = "too noisy"
    report = run(recipe(), work=tmp_path / "work")
    assert (report.verdict, report.qps_ratio, report.bench) == ("pass", None, "too noisy")
    assert report.published is not None


def test_a_run_ends_in_the_registry(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """A recipe that passes is published, with all its reports, and verifies."""
    report = run(recipe(), work=tmp_path / "work")
    assert fakes.finished() == WHOLE
    assert (report.verdict, report.exit_code, report.ratio, report.qps_ratio) == ("pass", 0, 1.0, 2.0)
    found = DirectoryRegistry(tmp_path / "registry").verify("tiny:1.0.0")
    assert found.verified
    assert {Path(file.name).name for file in found.files} >= {
        "bench.json",
        "evaluation.json",
        "gate.json",
        "gate.junit.xml",
        "gate.md",
        "inspection.json",
    }
    assert report.as_json() == json.loads((tmp_path / "work" / "run.json").read_text())


def test_the_published_recipe_names_no_place(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """The recipe that travels with an artifact has no path of the machine it was made on."""
    (tmp_path / "mine").mkdir()
    report = run(recipe(checkpoint=str(tmp_path / "mine")), work=tmp_path / "work")
    published = (Path(report.published or "") / "reports" / "recipe.yaml").read_text()
    assert "checkpoint: mine\n" in published
    assert str(tmp_path) not in published


def test_a_second_run_does_nothing_again(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """Everything finished and unchanged is kept; publishing the same bytes again is no error."""
    run(recipe(), work=tmp_path / "work")
    report = run(recipe(), work=tmp_path / "work")
    assert fakes.finished() == WHOLE
    assert {step.step for step in report.steps if step.action == "run"} == {"gate", "publish"}
    assert report.already_published


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({"quantize": {"mode": "dynamic", "seed": 1}}, ["quantize", "evaluate-int8", "inspect", "bench"]),
        ({"export": {"opset": 16}}, WHOLE),
        ({"fuse": {"embed_layer_norm": False}}, WHOLE[1:]),
        ({"bench": {"repeats": 3}}, ["bench"]),
        ({"gate": {"resamples": 200}}, []),
    ],
)
def test_only_what_changed_runs_again(
    fakes: Any, recipe: Any, tmp_path: Path, changes: dict[str, Any], again: list[str]
) -> None:
    """A changed section runs its stage and what follows from it, and nothing before it."""
    run(recipe(publish=None), work=tmp_path / "work")
    run(recipe(publish=None, **changes), work=tmp_path / "work")
    assert WHOLE + again == fakes.finished()


def test_changed_checkpoint_and_tools_run_again(
    fakes: Any, recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other bytes in the checkpoint, or another version of a tool, make the old result unusable."""
    run(recipe(publish=None), work=tmp_path / "work")
    fakes.checkpoint = "other"
    run(recipe(publish=None), work=tmp_path / "work")
    assert fakes.finished() == WHOLE + WHOLE
    monkeypatch.setattr(export_module, "tool_versions", lambda *packages: {"onnxruntime": "0.0.1"})
    planned = plan(recipe(publish=None), work=tmp_path / "work")
    assert "tools: " in planned.steps[0].why
    assert "onnxruntime" in planned.steps[0].why


def test_a_damaged_artifact_is_made_again(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """A finished step whose bytes were changed is not used."""
    run(recipe(publish=None), work=tmp_path / "work")
    (tmp_path / "work" / "02-fused" / "model.onnx").write_bytes(b"other")
    report = run(recipe(publish=None), work=tmp_path / "work")
    assert fakes.finished()[len(WHOLE)] == "fuse"
    assert "cannot be used" in next(step.why for step in report.steps if step.step == "fuse")
    Artifact.open(tmp_path / "work" / "02-fused")


def test_force_does_everything_again(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """--force keeps nothing."""
    run(recipe(publish=None), work=tmp_path / "work")
    run(recipe(publish=None), work=tmp_path / "work", force=True)
    assert fakes.finished() == WHOLE + WHOLE


@pytest.mark.parametrize(
    ("policy", "verdict", "code"), [("mlperf", "fail", 3), ("statistical", "inconclusive", 4)]
)
def test_a_gate_that_does_not_pass_publishes_nothing(
    fakes: Any, recipe: Any, tmp_path: Path, policy: str, verdict: str, code: int
) -> None:
    """Reports are written, the exit code says which, and the registry stays empty."""
    fakes.wrong = 1
    report = run(recipe(gate={"policy": policy, "resamples": 100}), work=tmp_path / "work")
    assert (verdict, code, None) == (report.verdict, report.exit_code, report.published)
    assert report.failed_checks
    assert (
        verdict
        == json.loads((tmp_path / "work" / "03-int8" / "reports" / "gate.json").read_text())["verdict"]
    )
    assert not (tmp_path / "registry").exists()


def test_without_fusing_the_export_is_the_baseline(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """A recipe that switches fusing off quantizes and compares what was exported."""
    run(recipe(fuse={"enabled": False}, bench=None), work=tmp_path / "work")
    assert fakes.finished() == ["export", "quantize", "evaluate-fp32", "evaluate-int8", "inspect"]
    parent = Artifact.open(tmp_path / "work" / "03-int8").manifest.parent
    assert Artifact.open(tmp_path / "work" / "01-export").digest == parent


def test_data_that_is_missing_is_told_before_the_work(
    fakes: Any, recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset that is nowhere ends a run before its first step, and a dry run too."""
    monkeypatch.setattr(line_module, "find", datasets.find)
    wanted = recipe(evaluate={"data": "nowhere.json"})
    for attempt in (run, plan):
        with pytest.raises(DatasetError, match=r"nowhere\.json: there is no such dataset"):
            attempt(wanted, work=tmp_path / "work")
    assert fakes.finished() == []


def test_an_artifact_is_no_work_folder(fakes: Any, recipe: Any, tmp_path: Path, make_artifact: Any) -> None:
    """Runs inside an artifact would break it."""
    artifact = make_artifact(tmp_path / "artifact")
    with pytest.raises(UsageError, match="is an artifact, not a folder for runs"):
        run(recipe(), work=artifact.path)
    assert fakes.finished() == []
    assert artifact.digest == Artifact.open(artifact.path).digest


def test_dry_run_says_what_and_why_and_writes_nothing(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """A plan runs no stage and makes no folder; after a run it says that nothing has changed."""
    work = tmp_path / "work"
    first = plan(recipe(), work=work)
    assert not work.exists()
    assert fakes.finished() == []
    assert (first.steps[0].step, first.steps[0].action, first.steps[0].why) == ("export", "run", "first time")
    run(recipe(), work=work)
    kept = {step.step: step.action for step in plan(recipe(), work=work).steps}
    assert {step: action for step, action in kept.items() if action == "run"} == {
        "gate": "run",
        "publish": "run",
    }
    changed = plan(recipe(quantize={"mode": "dynamic", "seed": 5}), work=work).steps
    assert changed[2].why == "changed settings: seed 0 → 5"
    assert changed[4].why == "after quantize, whose result may change"
    assert (changed[3].step, changed[3].action) == ("evaluate baseline", "keep")


@pytest.mark.parametrize(
    ("setting", "other", "said"),
    [
        ("slack", 0.1, "auto.slack 0.05 → 0.1"),
        ("min_int8_coverage", 0.5, "auto.min_int8_coverage 0.9 → 0.5"),
        ("select_questions", 400, "auto.select_questions 800 → 400"),
    ],
)
def test_a_search_that_is_asked_otherwise_runs_again(
    fakes: Any, recipe: Any, tmp_path: Path, setting: str, other: float, said: str
) -> None:
    """What a search found is kept only when it was asked exactly this."""
    work = tmp_path / "work"
    searched = {"mode": "auto", "calib": "callcentre"}
    run(recipe(quantize=searched, publish=None), work=work)
    assert plan(recipe(quantize=searched), work=work).steps[2].action == "keep"
    step = plan(recipe(quantize={**searched, "auto": {setting: other}}), work=work).steps[2]
    assert ("run", f"changed settings: {said}") == (step.action, step.why)


def test_dry_run_asks_nobody(
    fakes: Any, recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan takes the ledger's word for a checkpoint that is elsewhere, and needs no file of a public dataset."""

    def ask(*arguments: object, **options: object) -> None:
        raise AssertionError("asked")

    static = recipe(quantize={"mode": "static", "calib": "squad"})
    run(static, work=tmp_path / "work")
    monkeypatch.setattr(export_module, "checkpoint_digest", ask)
    monkeypatch.setattr(datasets, "find_known", ask)
    steps = plan(static, work=tmp_path / "work").steps
    assert {step.step for step in steps if step.action == "run"} == {"gate", "publish"}


def test_one_run_at_a_time(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """A second run in the same folder is refused in one line, and touches nothing."""
    with (
        WorkFolder(tmp_path / "work").held(),
        pytest.raises(UsageError, match="another run is at work there"),
    ):
        run(recipe(), work=tmp_path / "work")
    assert fakes.finished() == []
    run(recipe(), work=tmp_path / "work")


def test_leftovers_of_dead_runs_are_cleared(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """What a killed run left half-written is removed by the next one."""
    leftover = tmp_path / "work" / f".03-int8{PARTIAL}dead"
    leftover.mkdir(parents=True)
    (leftover / "model.onnx").write_bytes(b"half")
    run(recipe(), work=tmp_path / "work")
    assert list((tmp_path / "work").rglob(f"*{PARTIAL}*")) == []


def test_leftovers_in_reports_are_cleared(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """A report that was being written into one of the run's artifacts is removed too."""
    run(recipe(), work=tmp_path / "work")
    leftover = tmp_path / "work" / "03-int8" / "reports" / f".gate.json{PARTIAL}dead"
    leftover.write_bytes(b"half")
    run(recipe(), work=tmp_path / "work")
    assert not leftover.exists()


def test_what_others_make_below_the_work_folder_stays(fakes: Any, recipe: Any, tmp_path: Path) -> None:
    """Work under way there, by other names or by somebody who lives, is not the run's to clear away."""
    work = tmp_path / "work"
    others = (work / f".mine{PARTIAL}x", work / "notes" / f".03-int8{PARTIAL}x", work / "a" / f".b{PARTIAL}x")
    for other in others:
        other.mkdir(parents=True)
    with partial_folder(work / "03-int8") as at_work:
        run(recipe(), work=work)
        assert at_work.is_dir()
    assert [other.is_dir() for other in others] == [True, True, True]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"export": 1}', '{"export": {"key": 1}}', "null", "\x00"]
)
def test_an_unreadable_ledger_is_no_ledger(fakes: Any, recipe: Any, tmp_path: Path, content: str) -> None:
    """Whatever happened to steps.json, a run ends well; artifacts nobody vouches for are made again."""
    run(recipe(publish=None), work=tmp_path / "work")
    (tmp_path / "work" / "steps.json").write_text(content)
    run(recipe(publish=None), work=tmp_path / "work")
    assert fakes.finished()[len(WHOLE)] == "export"


def test_interrupt_keeps_what_is_finished(
    fakes: Any, recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in any stage leaves the finished steps and nothing half-written; the next run goes on there."""
    for index, stage in enumerate(("export", "fuse", "quantize", "evaluate", "inspect", "bench")):
        work = tmp_path / f"work-{index}"

        def interrupt(*arguments: object, **options: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(stages_module, stage, interrupt)
            with pytest.raises(KeyboardInterrupt):
                run(recipe(publish=None), work=work)
        assert list(work.rglob(f"*{PARTIAL}*")) == []
        before = len(fakes.finished())
        run(recipe(publish=None), work=work)
        done = WHOLE.index("evaluate-fp32" if stage == "evaluate" else stage)
        assert WHOLE[done:] == fakes.finished()[before:]


def test_error_of_a_stage_passes_through(
    fakes: Any, recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage's own error reaches the user, and the next run tries again."""

    def fail(*arguments: object, **options: object) -> None:
        raise ArtifactError("one line")

    with monkeypatch.context() as patched:
        patched.setattr(stages_module, "quantize", fail)
        with pytest.raises(ArtifactError, match="one line"):
            run(recipe(), work=tmp_path / "work")
    assert run(recipe(), work=tmp_path / "work").verdict == "pass"
    assert fakes.finished() == WHOLE


def start(work: Path, log: Path, pause: float) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    arguments = [sys.executable, str(FAKES), str(work), str(log), str(pause)]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)


def test_killed_anywhere_a_run_goes_on(tmp_path: Path) -> None:
    """After kill -9 at random moments the run ends well, redoes nothing and uses nothing half-written."""
    chance = random.Random(20240501)
    work, log = tmp_path / "work", tmp_path / "log"
    kills = 0
    whole: dict[str, tuple[int, int]] = {}
    for _ in range(40):
        seen = log.read_text().count("\n") if log.exists() else 0
        process = start(work, log, 0.05)
        assert process.stdin is not None
        deadline = time.monotonic() + 600
        # Wait until a stage has finished, then kill the run somewhere in the next one: after that it waits.
        while process.poll() is None and time.monotonic() < deadline:
            now = log.read_text().count("\n") if log.exists() else 0
            if now > seen:
                process.stdin.write(b"\n")
                process.stdin.flush()
                time.sleep(chance.uniform(0, 0.15))
                break
            time.sleep(0.005)
        if process.poll() is None:
            process.kill()
            kills += 1
        output, errors = process.communicate(timeout=600)
        for name in ("01-export", "02-fused", "03-int8"):
            if (work / name).exists():
                status = Artifact.open(work / name).model_path.stat()
                identity = (status.st_ino, status.st_mtime_ns)
                assert identity == whole.setdefault(name, identity)
        if process.returncode == 0:
            break
        assert process.returncode == -9, errors.decode()
    assert process.returncode == 0
    assert kills >= 3
    assert json.loads(output)["verdict"] == "pass"
    assert DirectoryRegistry(tmp_path / "registry").verify("tiny:1.0.0").verified
    assert list(work.rglob(f"*{PARTIAL}*")) == []
