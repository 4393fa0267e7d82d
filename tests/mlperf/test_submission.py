"""The tree has the layout of round v6.0, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.files import sha256_bytes
from quantkit.mlperf.documents import calibration_document

BASE = "open/Acme/results/box/bert-99.9"
LOGS = ("mlperf_log_detail.txt", "mlperf_log_summary.txt")


def test_layout(submission: Path) -> None:
    """Every file is where the rules want it."""
    expected = {"open/Acme/systems/box.json", "open/Acme/src/artifact/manifest.json"}
    expected |= {f"open/Acme/documentation/{name}" for name in ("README.md", "calibration.md")}
    for scenario in ("Offline", "SingleStream"):
        folder = f"{BASE}/{scenario}"
        expected |= {f"{folder}/{name}" for name in ("measurements.json", "README.md", "user.conf")}
        expected |= {
            f"{folder}/accuracy/{name}" for name in (*LOGS, "accuracy.txt", "mlperf_log_accuracy.json")
        }
        expected |= {f"{folder}/performance/run_1/{name}" for name in LOGS}
        expected |= {f"whole-logs/{scenario}/mlperf_log_accuracy.json"}
    files = {str(path.relative_to(submission)) for path in submission.rglob("*") if path.is_file()}
    source = {name for name in files if name.startswith("open/Acme/src/quantkit/")}
    assert files - source == expected
    assert "open/Acme/src/quantkit/mlperf/loadgen_run.py" in source
    assert all(name.endswith(".py") for name in source)


def test_the_hash_is_of_the_whole_log(submission: Path) -> None:
    """accuracy.txt vouches for the log that is kept, not for the part that is shown."""
    whole = (submission / "whole-logs/Offline/mlperf_log_accuracy.json").read_bytes()
    folder = submission / BASE / "Offline" / "accuracy"
    assert f"hash={sha256_bytes(whole)}" in (folder / "accuracy.txt").read_text().splitlines()
    assert (folder / "mlperf_log_accuracy.json").stat().st_size <= 10 * 1024 < len(whole)


def test_measurements(submission: Path) -> None:
    """measurements.json says what the weights are and how they came about."""
    content = json.loads((submission / BASE / "Offline" / "measurements.json").read_text())
    assert (
        content["retraining"],
        content["weight_data_types"],
        content["input_data_types"],
    ) == ("No", "fp32", "int64")


def test_calibration_of_a_float_model(tiny_artifact: Callable[..., Artifact]) -> None:
    """A model that was not quantized was not calibrated, and the document says so."""
    assert "not quantized" in calibration_document(tiny_artifact())
