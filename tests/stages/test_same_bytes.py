"""The same settings make the same bytes: elsewhere, at another time, in another process with other cores and hashes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quantkit.artifact import Artifact
from quantkit.recipe.settings import QuantizeSettings
from quantkit.registry import DirectoryRegistry
from quantkit.stages.quantize import quantize

ROOT = Path(__file__).resolve().parents[2]
ONE_CORE = {"ONE_CORE": "1", "OMP_NUM_THREADS": "1"}
TECHNIQUES = {"smooth_quant": "auto", "bias_correction": True, "channel_shift": True, "calib_questions": 6}
_PROGRAM = """
import json, os, sys
from pathlib import Path
if "ONE_CORE" in os.environ:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from quantkit.artifact import Artifact
from quantkit.recipe.settings import QuantizeSettings
from quantkit.stages.quantize import quantize
source, out, settings = sys.argv[1:]
quantize(Artifact.open(source), Path(out), settings=QuantizeSettings(**json.loads(settings)))
"""


@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_the_same_settings_make_the_same_bytes(
    make_encoder_artifact: Callable[..., Artifact],
    span_questions: Path,
    tmp_path: Path,
    rounding: str,
) -> None:
    """Another folder, time zone, seed of hashes and number of threads, of BLAS too: every file is equal."""
    source = make_encoder_artifact()
    settings = {"mode": "static", "calib": str(span_questions), **TECHNIQUES, "rounding": rounding}
    here = quantize(source, tmp_path / "here", settings=QuantizeSettings(**settings))
    elsewhere = tmp_path / "deeper" / "another folder"
    shutil.copytree(source.path, elsewhere / "source")
    environment = {
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "4711",
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
        "QUANTKIT_CACHE": str(tmp_path / "another cache"),
        **ONE_CORE,
    }
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "source", "out", json.dumps(settings)],
        env={**os.environ, **environment},
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    there = Artifact.open(elsewhere / "out")
    assert there.manifest.files == here.manifest.files
    assert there.digest == here.digest


def test_the_same_artifact_is_published_as_the_same_bytes(
    tmp_path: Path, make_artifact, pass_gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Years apart and into another registry: every file is equal, the manifest too, so a digest names a release."""
    made = []
    for number in (1, 2):
        artifact = make_artifact(tmp_path / f"artifact-{number}")
        pass_gate(artifact)
        monkeypatch.setattr("time.time", lambda number=number: 2e9 * number)
        place = DirectoryRegistry(tmp_path / f"registry-{number}").publish(artifact, name="tiny", version="1")
        files = (path for path in sorted(place.rglob("*")) if path.is_file())
        made.append({str(path.relative_to(place)): path.read_bytes() for path in files})
    assert made[0] == made[1]
