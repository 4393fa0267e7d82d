"""Telemetry of onnxruntime and openvino is off, in every process that quantkit opens a model in."""

import ast
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_models import QUESTIONS, TEXTS, save_tiny

from quantkit.telemetry import telemetry

ROOT = Path(__file__).resolve().parent.parent
_CI = ("CI", "TF_BUILD", "JENKINS_URL", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")
_HOME_OF = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
INSPECT = ("-m", "quantkit", "inspect", "artifact")
EVALUATE = ("-m", "quantkit", "evaluate", "artifact", "--data", "texts.jsonl")
LIBRARY = "import quantkit, onnxruntime; onnxruntime.InferenceSession('artifact/model.onnx')"
CHILD = (
    "from quantkit.runtime.session import Session; from pathlib import Path; "
    "Session(Path('artifact/model.onnx'), outputs=('logits',))"
)
OPENVINO = (
    "from quantkit.runtime.openvino_session import OpenVinoSession; from pathlib import Path; "
    "OpenVinoSession(Path('artifact/model.onnx'), outputs=('logits',))"
)
WAYS = {
    "inspect": INSPECT,
    "evaluate, threads": (*EVALUATE, "--engine", "threads"),
    "evaluate, processes": (*EVALUATE, "--engine", "processes", "--threads", "2"),
    "library": ("-c", LIBRARY),
    "one session": ("-c", CHILD),
    "openvino": ("-c", OPENVINO),
    "mlperf": (
        *("-m", "quantkit", "mlperf", "answers", "-o", "out", "--quick", "--data", "questions.json"),
        *("--scenario", "offline", "--mode", "accuracy", "--baseline", "answers"),
    ),
    "doctor": ("-m", "quantkit", "doctor"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two artifacts and data for them."""
    save_tiny(tmp_path / "artifact")
    save_tiny(tmp_path / "answers", task="squad")
    (tmp_path / "texts.jsonl").write_text(TEXTS)
    (tmp_path / "questions.json").write_text(QUESTIONS)
    return tmp_path


def run(folder: Path, *arguments: str, **variables: str) -> list[str]:
    """Run Python with a home of its own, outside of any CI job, and return the files it left there."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name not in _CI}
    environment = {
        **kept,
        "HOME": str(home),
        **{name: str(home / name.lower()) for name in _HOME_OF},
        "QUANTKIT_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(ROOT),
        **variables,
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_in_the_home(folder: Path, way: str) -> None:
    """No way to open a model writes into the home folder or one of XDG's."""
    pytest.importorskip({"openvino": "openvino", "mlperf": "mlperf_loadgen"}.get(way, "quantkit"))
    assert run(folder, *WAYS[way]) == []


def test_a_choice_is_kept(folder: Path) -> None:
    """Who sets the variable keeps what onnxruntime makes of it: the test above can fail."""
    if run(folder, "-c", LIBRARY, ORT_DISABLE_TELEMETRY="1"):
        pytest.fail("onnxruntime no longer hears ORT_DISABLE_TELEMETRY")
    said = "import quantkit, os; assert os.environ['ORT_DISABLE_TELEMETRY'] == '0'"
    assert run(folder, "-c", said, ORT_DISABLE_TELEMETRY="0") == []


@pytest.mark.skipif(importlib.util.find_spec("openvino_telemetry") is None, reason="not installed")
def test_the_choice_of_openvino_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opted in with OpenVINO's own command, it is told so; opted out or never asked, it is off."""
    monkeypatch.setenv("HOME", str(tmp_path))
    consent = tmp_path / "intel" / "openvino_telemetry"
    consent.parent.mkdir()
    seen = {}
    for said in ("1", "0", "", "\ud800"):
        consent.write_text(said, errors="surrogatepass")
        seen[said] = telemetry()["openvino"]
    assert seen == {"1": True, "0": False, "": False, "\ud800": False}


@pytest.mark.parametrize(
    ("value", "on"), [("1", False), ("true", False), ("ON", False), ("0", True), ("2", True), ("", True)]
)
def test_what_the_variable_says(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    """The values are read as onnxruntime reads them."""
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)
    assert telemetry()["onnxruntime"] == on


def _programs() -> Iterator[Path]:
    for top in ("examples", "benchmarks"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if "quantkit" in path.read_text(encoding="utf-8"):
                yield path


@pytest.mark.parametrize("path", list(_programs()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_programs_import_quantkit_first(path: Path) -> None:
    """Programs that use quantkit import neither library before it: by then it would be too late."""
    order = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            order += [alias.name.partition(".")[0] for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module:
            order.append(node.module.partition(".")[0])
    if "quantkit" in order:
        before = order[: order.index("quantkit")]
        assert not {"onnxruntime", "openvino"} & set(before)
