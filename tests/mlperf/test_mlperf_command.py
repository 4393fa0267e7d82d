"""quantkit mlperf on the command line: exit codes, what it prints, and what it refuses."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

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
    assert 0 == made.exit_code, made.stderr
    report = json.loads(made.stdout)
    assert ("quantkit/mlperf/1", "not-submittable") == (report["schema"], report["verdict"])
    assert report["runs"][0]["accuracy"]["f1"] == report["reference_f1"]
    assert report["reference"].startswith("the baseline ")
    again = invoke(out, "--check")
    assert 3 == again.exit_code
    assert "meant as a result" in again.stdout


def test_check(submission: Path) -> None:
    """--check exits with 0 where nothing would be rejected and with 3 where something would."""
    assert 0 == invoke(submission, "--check").exit_code
    (submission / "open/Acme/documentation/README.md").unlink()
    made = invoke(submission, "--check", "--json")
    assert 3 == made.exit_code
    assert "fail" == json.loads(made.stdout)["verdict"]


def test_describe_system(tmp_path: Path) -> None:
    """The file that is written is one that --system takes; one that is there stays."""
    path = tmp_path / "box.json"
    made = invoke("--describe-system", path, "--submitter", "Acme", "--set", "cooling=air")
    assert 0 == made.exit_code
    content = json.loads(path.read_text())
    assert ("air", "Acme", "") == (content["cooling"], content["submitter"], content["status"])
    assert "fill in" in made.stderr
    assert 2 == invoke("--describe-system", path).exit_code


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
    assert (2, "") == (made.exit_code, made.stdout)
    assert said in made.stderr
    assert 1 == len(made.stderr.splitlines())


def test_without_loadgen(
    tiny_artifact: Make, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without LoadGen one line names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    made = invoke(tiny_artifact().path, "-o", tmp_path / "out", "--quick", "--data", questions)
    assert 2 == made.exit_code
    assert 'run pip install "quantkit[mlperf]"' in made.stderr
    assert not (tmp_path / "out").exists()
