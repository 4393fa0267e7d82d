"""OpenVINO behind the face of a session: the same ONNX file, the same arrays, errors of one line."""

import importlib
import threading
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from quantkit.errors import ArtifactError, EvaluationError, UsageError
from quantkit.runtime.openvino_session import OpenVinoSession, telling_line
from quantkit.runtime.session import Session, StopSignal
from quantkit.runtime.sessions import open_session

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask)
  => (float[batch, sequence, 4] logits, float[batch, 4] pooled)
{
    logits = Gather (table, input_ids)
    pooled = ReduceMean <axes = [1], keepdims = 0> (logits)
}
"""
OUTPUTS = ("logits", "pooled")
FEEDS = {
    "input_ids": np.array([[1, 2, 3], [4, 5, 6]]),
    "attention_mask": np.ones((2, 3), np.int64),
    "token_type_ids": np.zeros((2, 3), np.int64),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a graph that looks tokens up in a table."""
    graph = onnx.parser.parse_model(GRAPH)
    table = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    graph.graph.initializer.append(numpy_helper.from_array(table, "table"))
    onnx.save(graph, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def openvino() -> None:
    """Skip where OpenVINO is not installed."""
    pytest.importorskip("openvino")


@pytest.mark.usefixtures("openvino")
def test_same_face_as_onnxruntime(model: Path) -> None:
    """Outputs, which of them are by position, and the values are those of onnxruntime's session."""
    here = open_session("openvino", model, outputs=OUTPUTS)
    there = Session(model, outputs=OUTPUTS)
    assert isinstance(here, OpenVinoSession)
    assert (there.outputs, there.by_position) == (here.outputs, here.by_position)
    assert there.uses_token_types is here.uses_token_types is False
    for one, other in zip(there.run(FEEDS), here.run(FEEDS), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("openvino")
def test_precision_is_recorded(model: Path) -> None:
    """What OpenVINO computes in is asked of it, and can be asked for."""
    assert OpenVinoSession(model, outputs=OUTPUTS, precision="f32").precision == "f32"
    assert OpenVinoSession(model, outputs=OUTPUTS).precision in ("f32", "bf16", "f16")


@pytest.mark.usefixtures("openvino")
def test_threads_share_a_session(model: Path) -> None:
    """Threads that run one session at once get their own answers, which stay as they are after the next run."""
    session = OpenVinoSession(model, outputs=OUTPUTS)
    wrong: list[int] = []

    def work(token: int) -> None:
        feeds = {**FEEDS, "input_ids": np.full((2, 3), token)}
        expected = session.run(feeds)[0]
        kept = expected.copy()
        for _ in range(50):
            if not np.array_equal(kept, session.run(feeds)[0]):
                wrong.append(token)
        if not np.array_equal(kept, expected):
            wrong.append(token)

    threads = [threading.Thread(target=work, args=(token,)) for token in (1, 4, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.usefixtures("openvino")
def test_what_cannot_be_opened_or_run_is_one_line(model: Path, tmp_path: Path) -> None:
    """A missing or broken model, an output it lacks, a batch of other shapes, a stop: each says what and where."""
    with pytest.raises(ArtifactError, match=r"nothing.onnx: no such model"):
        OpenVinoSession(tmp_path / "nothing.onnx", outputs=OUTPUTS)
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(model.read_bytes()[:60])
    with pytest.raises(ArtifactError, match=r"cut.onnx: .*make the model again") as caught:
        OpenVinoSession(cut, outputs=OUTPUTS)
    assert "\n" not in str(caught.value)
    with pytest.raises(ArtifactError, match=r"has no output 'start_logits' \(it has logits, pooled\)"):
        OpenVinoSession(model, outputs=("start_logits",))
    with pytest.raises(UsageError, match="0 threads"):
        OpenVinoSession(model, outputs=OUTPUTS, threads=0)
    session, stop = OpenVinoSession(model, outputs=OUTPUTS, name="M"), StopSignal()
    with pytest.raises(EvaluationError, match=r"M: openvino cannot run a batch of 3 x 2 x 1 tokens"):
        session.run({**FEEDS, "input_ids": np.ones((3, 2, 1), np.int64)})
    stop.stop()
    with pytest.raises(EvaluationError, match="M: the run was stopped"):
        session.run(FEEDS, stop)


def test_without_openvino(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed, the message names the extra."""

    def fail(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(UsageError, match=r'pip install "quantkit\[openvino\]"'):
        OpenVinoSession(model, outputs=OUTPUTS)


def test_telling_line() -> None:
    """Of a message of many lines, the one that says what is wrong is kept, and cut where it is long."""
    text = "Exception from src/core.cpp:1:\nException from b.cpp:2:\nUnable to read the model: x\n"
    assert telling_line(RuntimeError(text)) == "Unable to read the model: x"
    assert telling_line(RuntimeError("Exception from a\n")) == "Exception from a"
    assert len(telling_line(RuntimeError("x" * 500))) == 160
