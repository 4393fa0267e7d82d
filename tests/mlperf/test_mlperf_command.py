"""quantkit mlperf on the command line: exit codes, what it prints, and what it refuses."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from quantkit.artifact import Artifact
from quantkit.cli.main import main

Make = Callable[..., Artifact]


def invoke(*arguments: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["mlperf", *map(str, arguments)])


def test_quick_json(tiny_artifact: Make, questions: Path, tmp_path: Path) -> None:
    """A quick run prints its report alone, against the baseline's own F1, and exits with 0."""
    pytest.importorskip("mlperf_loadgen")
    artifact, out = tiny_artifact(), tmp_path / "out"
    made = invoke(
        artifact.path, "-o", out, "--quick", "--data", questions, "--scenario", "offline",
        "--mode", "accuracy", "--baseline", artifact.path, "--json",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    report = json.loads(made.stdout)
    assert (report["schema"], report["verdict"]) == ("quantkit/mlperf/1", "not-submittable")
    assert report["runs"][0]["accuracy"]["f1"] == report["reference_f1"]
    assert report["reference"].startswith("the baseline ")
    again = invoke(out, "--check")
    assert again.exit_code == 3
    assert "meant as a result" in again.stdout


def test_check(submission: Path) -> None:
    """--check exits with 0 where nothing would be rejected and with 3 where something would."""
    assert invoke(submission, "--check").exit_code == 0
    (submission / "open/Acme/documentation/README.md").unlink()
    made = invoke(submission, "--check", "--json")
    assert made.exit_code == 3
    assert json.loads(made.stdout)["verdict"] == "fail"


def test_describe_system(tmp_path: Path) -> None:
    """The file that is written is one that --system takes; one that is there stays."""
    path = tmp_path / "box.json"
    made = invoke("--describe-system", path, "--submitter", "Acme", "--set", "cooling=air")
    assert made.exit_code == 0
    content = json.loads(path.read_text())
    assert (content["cooling"], content["submitter"], content["status"]) == ("air", "Acme", "")
    assert "fill in" in made.stderr
    assert invoke("--describe-system", path).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "ARTIFACT: is missing"),
        (("a",), "--output: is missing"),
        (("a", "-o", "out"), "--submitter and --system: are needed"),
        (("a", "-o", "out", "--quick", "--set", "cooling"), "--set cooling: expected FIELD=VALUE"),
        (("a", "-o", "out", "--quick", "--submitter", "../x"), "--submitter '../x': names a folder"),
        (("a", "-o", "out", "--quick", "--division", "closed", "--baseline", "b"), "leave it out"),
        (("a", "-o", "out", "--quick", "--set", "status=soon"), "status is 'soon'"),
        (("a", "-o", "out", "--quick", "--target-qps", "-1"), "--target-qps"),
    ],
)
def test_mistakes(
    tiny_artifact: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    """A mistake is one line and exit code 2, before anything runs."""
    tiny_artifact("a")
    monkeypatch.chdir(tmp_path)
    made = invoke(*arguments)
    assert (made.exit_code, made.stdout) == (2, "")
    assert said in made.stderr
    assert len(made.stderr.splitlines()) == 1


def test_without_loadgen(
    tiny_artifact: Make, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without LoadGen one line names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    made = invoke(tiny_artifact().path, "-o", tmp_path / "out", "--quick", "--data", questions)
    assert made.exit_code == 2
    assert 'run pip install "quantkit[mlperf]"' in made.stderr
    assert not (tmp_path / "out").exists()


def test_interrupted(tiny_artifact: Make, questions: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a run is one line; neither a folder nor the run's process is left."""
    pytest.importorskip("mlperf_loadgen")
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "quantkit", "mlperf", str(tiny_artifact().path), "-o", str(out), "--limit", "5",
        "--data", str(questions), "--scenario", "single-stream", "--mode", "performance", "--target-latency", "1",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        run = started_run(process.pid, time.monotonic() + 600)
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=600)
    assert (process.returncode, printed, said) == (2, "", "interrupted; nothing was left half-written\n")
    assert not run.is_running()
    assert [path for path in tmp_path.iterdir() if "out" in path.name] == []


def started_run(pid: int, deadline: float) -> psutil.Process:
    """Return the process of the run that a command started, once LoadGen measures."""
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            with contextlib.suppress(psutil.Error):
                if (Path(child.cwd()) / "logs" / "mlperf_log_detail.txt").is_file():
                    return child
        time.sleep(0.05)
    raise TimeoutError
