"""The whole line on the model that ships, with the real stages."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quantkit.artifact import Artifact
from quantkit.partial import PARTIAL
from quantkit.registry import DirectoryRegistry

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ("01-export", "02-fused", "03-int8")

pytest.importorskip("torch", reason="exporting needs torch")


def start(folder: Path, recipe: str = "quickstart") -> "subprocess.Popen[str]":
    registry = f"publish.registry={folder / 'registry'}"
    # How good the model is, is not what is tested here.
    settings = ["--set", registry, "--set", "gate.min_ratio=0.9"]
    arguments = ["run", recipe, "--work", str(folder / "work"), *settings, "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "quantkit", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "QUANTKIT_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_killed_quickstart_goes_on(tmp_path: Path) -> None:
    """Kill -9 the real line at random moments: what was finished stays byte for byte, and it ends well."""
    chance = random.Random(7)
    whole: dict[str, str] = {}
    for _ in range(5):
        process = start(tmp_path)
        time.sleep(chance.uniform(2, 14))
        process.kill()
        process.communicate(timeout=600)
        for name in ARTIFACTS:
            if (tmp_path / "work" / name).exists():
                artifact = Artifact.open(tmp_path / "work" / name)
                stamp = f"{artifact.digest} {artifact.model_path.stat().st_mtime_ns}"
                assert stamp == whole.setdefault(name, stamp)
    process = start(tmp_path)
    output, errors = process.communicate(timeout=3000)
    assert process.returncode == 0, errors
    report = json.loads(output)
    assert report["verdict"] == "pass"
    assert DirectoryRegistry(tmp_path / "registry").verify("quickstart:1.0.0").verified
    assert list((tmp_path / "work").rglob(f"*{PARTIAL}*")) == []
    again = start(tmp_path)
    second = json.loads(again.communicate(timeout=3000)[0])
    assert second["already_published"]
    assert {step["step"] for step in second["steps"] if step["action"] == "run"} == {"gate", "publish"}


@pytest.mark.slow
def test_killed_search_and_training_go_on(tmp_path: Path) -> None:
    """Kill -9 a run that makes a smaller model, in every part: it ends well, and the second run does nothing again."""
    pytest.importorskip("scipy", reason="the search needs its solver")
    recipe = "quickstart-search"
    chance = random.Random(7)
    for _ in range(4):
        process = start(tmp_path, recipe)
        time.sleep(chance.uniform(5, 60))
        process.kill()
        process.communicate(timeout=600)
    process = start(tmp_path, recipe)
    output, errors = process.communicate(timeout=3000)
    assert process.returncode == 0, errors
    report = json.loads(output)
    assert report["verdict"] == "pass"
    assert report["smaller"]["parameters"] < report["smaller"]["teacher_parameters"]
    made = Artifact.open(tmp_path / "work" / "03-int8").manifest.stage("export")
    assert made is not None
    assert made.facts["teacher_digest"] == report["smaller"]["teacher"]
    assert DirectoryRegistry(tmp_path / "registry").verify("quickstart-search:1.0.0").verified
    assert list((tmp_path / "work").rglob(f"*{PARTIAL}*")) == []
    again = start(tmp_path, recipe)
    second = json.loads(again.communicate(timeout=3000)[0])
    assert {step["step"] for step in second["steps"] if step["action"] == "run"} == {"gate", "publish"}
