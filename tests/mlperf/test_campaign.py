"""Real LoadGen, seconds long, on a model of one table lookup."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from quantkit.artifact import Artifact
from quantkit.errors import DatasetError, EvaluationError, OutputError, UsageError
from quantkit.mlperf import campaign
from quantkit.mlperf.campaign import mlperf, profile_for
from quantkit.mlperf.detail_log import DetailLog
from quantkit.mlperf.rules import SAMPLES, SEEDS
from quantkit.mlperf.settings import Entry, MlperfSettings, Reference, Request
from quantkit.recipe.settings import EvaluateSettings
from quantkit.records.mlperf import MlperfReport
from quantkit.runtime.profile import RuntimeProfile
from quantkit.stages.evaluate import evaluate

pytest.importorskip("mlperf_loadgen")
Make = Callable[..., Artifact]
ENTRY = Entry(division="open", submitter="Acme", system="box", description={}, retraining="")


def request(questions: Path, **changes: Any) -> Request:
    """Return a quick request for a file of questions."""
    settings = {"data": str(questions), "quick": True, "min_duration": 1, **changes}
    return Request(
        settings=MlperfSettings.model_validate(settings),
        entry=ENTRY,
        reference=Reference(),
        profile=RuntimeProfile.here(instances=2),
        command=("quantkit", "mlperf", "tiny"),
    )


def performance_log(out: Path, scenario: str) -> DetailLog:
    """Return the detail log of a quick run."""
    folder = "NOT-SUBMITTABLE/open/Acme/results/box-NOT-SUBMITTABLE/bert-99.9"
    return DetailLog.read(out / folder / scenario / "performance" / "run_1" / "mlperf_log_detail.txt")


def test_quick(tiny_artifact: Make, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four runs in their own processes: real seeds, VALID, F1 as evaluate has it, and marked everywhere.

    An audit.config where the command is given (it would change LoadGen's minimum duration) changes nothing.
    """
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("audit.config").write_text("*.*.min_duration = 60000\n*.*.qsl_rng_seed = 7\n", encoding="utf-8")
    artifact = tiny_artifact()
    out = tmp_path / "out"
    report = mlperf(artifact, out, request(questions))
    evaluated = evaluate(artifact, settings=EvaluateSettings(data=str(questions)))
    assert (report.verdict, report.exit_code) == ("not-submittable", 0)
    assert "a quick run" in report.not_submittable
    for runs, scenario in zip(report.runs, ("Offline", "SingleStream"), strict=True):
        assert runs.accuracy is not None
        assert runs.performance is not None
        assert (evaluated.f1, evaluated.exact_match) == (runs.accuracy.f1, runs.accuracy.exact_match)
        assert runs.accuracy.samples == report.samples == evaluated.features
        assert runs.performance.samples >= report.samples
        assert runs.performance.min_duration_ms == 1000
        assert runs.performance.seeds["qsl_rng_seed"] in [seeds.qsl_rng_seed for seeds in SEEDS.values()]
        assert performance_log(out, scenario).text("effective_scenario") == scenario
    assert report.runs[0].performance is not None
    assert report.runs[0].performance.samples_per_second is not None
    assert report.runs[1].performance is not None
    assert report.runs[1].performance.early_stopping_ms is not None
    assert MlperfReport.read(out / "mlperf.json") == report
    assert sorted(path.name for path in out.iterdir()) == [
        "NOT-SUBMITTABLE",
        "NOT-SUBMITTABLE.txt",
        "mlperf.json",
        "whole-logs",
    ]
    marked = [path for path in out.rglob("*") if path.name in ("user.conf", "README.md")]
    assert len(marked) == 5
    assert all("NOT SUBMITTABLE" in path.read_text(encoding="utf-8") for path in marked)


def test_invalid_is_seen(tiny_artifact: Make, questions: Path, tmp_path: Path) -> None:
    """A run that was shorter than its minimum is INVALID by LoadGen, and the report and the check say so and why."""
    asked = request(questions, scenarios=("offline",), modes=("performance",), target_qps=1.0)
    report = mlperf(tiny_artifact(), tmp_path / "out", asked)
    done = report.runs[0].performance
    assert done is not None
    assert not done.valid
    assert "Increase expected QPS" in done.invalid_because
    verdicts = {check.name: check for check in report.checks}
    assert verdicts["Offline performance: LoadGen's verdict"].verdict == "fail"
    assert verdicts["Offline performance: LoadGen's verdict"].observed.startswith("INVALID: Increase")
    assert verdicts["Offline performance: minima met"].verdict == "fail"


@pytest.mark.parametrize("scenario", ["offline", "single-stream"])
@pytest.mark.parametrize(
    ("fault", "said"), [({"words": 6}, "cannot run"), ({"nan": True}, "NaN or Infinity for sample")]
)
def test_a_model_that_fails(
    tiny_artifact: Make, questions: Path, tmp_path: Path, scenario: str, fault: dict[str, Any], said: str
) -> None:
    """What goes wrong while LoadGen waits is one line that names the run, and nothing is left."""
    asked = request(questions, scenarios=(scenario,), modes=("accuracy",))
    with pytest.raises(EvaluationError, match=said) as caught:
        mlperf(tiny_artifact(**fault), tmp_path / "out", asked)
    assert str(caught.value).startswith(f"{scenario} accuracy: ")
    assert "\n" not in str(caught.value)
    assert [path for path in tmp_path.iterdir() if "out" in path.name] == []


def test_killed(tiny_artifact: Make, questions: Path, tmp_path: Path) -> None:
    """A run whose process is killed is one line, and nothing is left."""
    asked = request(questions, scenarios=("single-stream",), modes=("performance",), target_latency_ms=1.0)
    asked = replace(asked, settings=asked.settings.model_copy(update={"quick": False, "min_duration": 600}))
    killer = threading.Thread(target=kill_run, args=(time.monotonic() + 300,))
    killer.start()
    with pytest.raises(EvaluationError, match="single-stream performance: its process was ended by SIGKILL"):
        mlperf(tiny_artifact(), tmp_path / "out", asked)
    killer.join()
    assert [path for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize("changes", [{"engine": "processes"}, {"max_batch": 1}])
def test_profiles(tiny_artifact: Make, questions: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    """Whichever engine the profile names, and whether batches hold padding, every sample is answered once, alike."""
    artifact, asked = tiny_artifact(), request(questions, scenarios=("offline",))
    profile = RuntimeProfile.model_validate({"instances": 2, "token_budget": 32, **changes})
    report = mlperf(artifact, tmp_path / "out", replace(asked, profile=profile))
    evaluated = evaluate(artifact, settings=EvaluateSettings(data=str(questions)))
    assert report.runs[0].accuracy is not None
    assert evaluated.f1 == report.runs[0].accuracy.f1
    assert report.runs[0].profile.items() >= changes.items()


def test_it_ends_with_whoever_started_it(tiny_artifact: Make, questions: Path, tmp_path: Path) -> None:
    """A run whose starter is gone (its stdin ends) ends too, in the middle of measuring."""
    artifact, asked = tiny_artifact(), request(questions, quick=False, min_duration=600)
    bench = campaign._bench(artifact, asked, None, tmp_path)
    conf = tmp_path / "user.conf"
    conf.write_text("bert.SingleStream.target_latency = 1\n", encoding="utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    path = bench.job("single-stream", "performance", conf).write(folder)
    command = [sys.executable, "-m", "quantkit.mlperf.loadgen_run", str(path)]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"answered ")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(300) == 2


def kill_run(deadline: float) -> None:
    """Kill this process's LoadGen run a moment after it started measuring."""
    while time.monotonic() < deadline:
        for child in psutil.Process().children():
            folder = Path(child.cwd()) / "logs"
            if (folder / "mlperf_log_detail.txt").is_file():
                child.kill()
                return
        time.sleep(0.05)


def test_submittable_runs_need_a_description(tiny_artifact: Make, tmp_path: Path) -> None:
    """Before anything runs, what MLPerf wants to know of the system is asked for, by name."""
    asked = Request(
        settings=MlperfSettings(), entry=ENTRY, reference=Reference(), profile=RuntimeProfile.here()
    )
    with pytest.raises(UsageError, match=r"lacks .*cooling.*retraining.*--set FIELD=VALUE"):
        mlperf(tiny_artifact(), tmp_path / "out", asked)


def test_mistakes(tiny_artifact: Make, questions: Path, tmp_path: Path) -> None:
    """A dataset there is not and an output that is not empty are told at once."""
    with pytest.raises(DatasetError, match="there is no such dataset"):
        mlperf(tiny_artifact(), tmp_path / "out", request(tmp_path / "nothing.json"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")
    with pytest.raises(OutputError, match="full"):
        mlperf(tiny_artifact("other"), tmp_path / "full", request(questions))


def test_single_stream_has_one_instance() -> None:
    """SingleStream gives the threads of all instances to one."""
    profile = RuntimeProfile(instances=3, threads=2)
    assert profile_for("offline", profile) == profile
    assert (
        profile_for("single-stream", profile).instances,
        profile_for("single-stream", profile).threads,
    ) == (1, 6)


def test_reasons() -> None:
    """Everything that makes a run no result is named, and a whole run has no reason."""
    assert MlperfSettings().reasons() == ()
    whole = {"limit": 5, "min_duration": 599, "data": "d.json", "modes": ("accuracy",)}
    expected = (
        "the dataset is d.json, not SQuAD v1.1 dev",
        "only the first 5 questions",
        "599 s instead of 600 s",
        "no performance run",
    )
    assert MlperfSettings.model_validate(whole).reasons() == expected


def test_report_is_json(tiny_artifact: Make, questions: Path, tmp_path: Path) -> None:
    """mlperf.json says which schema it has; a submission that is there gives way only when asked."""
    asked = request(questions, scenarios=("offline",), modes=("accuracy",))
    mlperf(tiny_artifact(), tmp_path / "out", asked)
    with pytest.raises(OutputError, match="is not empty"):
        mlperf(tiny_artifact("other"), tmp_path / "out", asked)
    mlperf(Artifact.open(tmp_path / "other"), tmp_path / "out", asked, force=True)
    content = json.loads((tmp_path / "out" / "mlperf.json").read_text(encoding="utf-8"))
    assert content["schema"] == "quantkit/mlperf/1"
    assert content["runs"][0]["performance"] is None


@pytest.mark.real
def test_real_samples(minilm_fp32: Artifact, shared: Path, tmp_path: Path) -> None:
    """The sample library of SQuAD dev is MLPerf's: 10,833 samples, and they run; F1 is that of evaluate."""
    data_dir = shared / "data"
    asked = request(tmp_path, data="squad", limit=40, scenarios=("offline",))
    report = mlperf(minilm_fp32, tmp_path / "out", asked, data_dir=data_dir)
    evaluated = evaluate(minilm_fp32, settings=EvaluateSettings(data="squad", limit=40), data_dir=data_dir)
    assert report.runs[0].accuracy is not None
    assert report.runs[0].accuracy.f1 == pytest.approx(evaluated.f1, abs=1e-9)
    whole = replace(asked, settings=MlperfSettings())
    assert len(campaign._bench(minilm_fp32, whole, data_dir, tmp_path).prepared.rows) == SAMPLES
