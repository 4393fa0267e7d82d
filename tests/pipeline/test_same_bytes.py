"""The quickstart's artifacts, made twice; tests/stages/test_same_bytes.py does it in a moment on a smaller model."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from quantkit.artifact import Artifact
from quantkit.recipe.settings import ExportSettings, FuseSettings, QuantizeSettings
from quantkit.shipped import quickstart_model

pytest.importorskip("torch", reason="exporting needs torch")
pytest.importorskip("transformers")

ROOT = Path(__file__).resolve().parents[2]
QUANTIZED = {
    "static": QuantizeSettings(mode="static", calib="callcentre", calib_questions=20),
    "dynamic": QuantizeSettings(mode="dynamic"),
}


def make(folder: Path) -> dict[str, str]:
    """Make the quickstart's artifacts in a folder and return name → digest."""
    from quantkit.stages.export import export
    from quantkit.stages.fuse import fuse
    from quantkit.stages.quantize import quantize

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {
            "export": export(
                str(quickstart_model()), folder / "export", task="squad", settings=ExportSettings()
            )
        }
    made["fuse"] = fuse(made["export"], folder / "fuse", settings=FuseSettings())
    for name, settings in QUANTIZED.items():
        made[name] = quantize(made["fuse"], folder / name, settings=settings)
    return {name: artifact.digest for name, artifact in made.items()}


@pytest.mark.slow
def test_the_same_recipe_makes_the_same_bytes(tmp_path: Path) -> None:
    """Every file of every artifact is equal; manifests differ in nothing but what was measured of the making.

    With as many threads: GPTQ's last bits follow how many of them BLAS has (docs/security.md).
    """
    here = make(tmp_path / "one")
    elsewhere = tmp_path / "deeper" / "another folder"
    elsewhere.mkdir(parents=True)
    ran = subprocess.run(
        [sys.executable, str(Path(__file__)), str(elsewhere)],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "4711",
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "C",
            "QUANTKIT_CACHE": str(tmp_path / "another cache"),
        },
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == here
    for name in here:
        one, other = Artifact.open(tmp_path / "one" / name), Artifact.open(elsewhere / name)
        assert one.manifest.files == other.manifest.files


if __name__ == "__main__":
    # Another process, with one core where the first has more.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sys.stdout.write(json.dumps(make(Path(sys.argv[1]))))
