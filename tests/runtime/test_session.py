"""A session opens what can be run, and says in one line why it does not open the rest."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from quantkit.errors import ArtifactError, UsageError
from quantkit.runtime.session import ATTENTION_MASK, INPUT_IDS, TOKEN_TYPE_IDS, Session, StopSignal, Written

SaveEncoder = Callable[..., Path]
SPAN = ("start_logits", "end_logits")
FEEDS = {
    INPUT_IDS: np.array([[1, 2, 3], [4, 5, 0]]),
    ATTENTION_MASK: np.array([[1, 1, 1], [1, 1, 0]]),
    TOKEN_TYPE_IDS: np.zeros((2, 3), np.int64),
}


def test_runs(save_encoder: SaveEncoder) -> None:
    """The outputs asked for come in the order asked for."""
    path = save_encoder()
    start, end = Session(path, outputs=SPAN).run(FEEDS)
    swapped = Session(path, outputs=("end_logits", "start_logits")).run(FEEDS)
    assert start.shape == (2, 3)
    np.testing.assert_array_equal(end, swapped[0])
    np.testing.assert_array_equal(start, swapped[1])


def test_positions_and_labels(save_encoder: SaveEncoder) -> None:
    """A second dimension with a number is labels, one with a name is the sequence."""
    assert Session(save_encoder(), outputs=SPAN).by_position == (True, True)
    assert Session(save_encoder(labels=True), outputs=("label_logits",)).by_position == (False,)


@pytest.mark.parametrize("kind", ["int64", "int32"])
def test_token_types_are_optional(save_encoder: SaveEncoder, kind: str) -> None:
    """A graph without token types is fed none, whatever integers it takes."""
    with_types = Session(save_encoder(kind=kind, name="a.onnx"), outputs=SPAN)
    without = Session(
        save_encoder(kind=kind, inputs=("input_ids", "attention_mask"), name="b.onnx"), outputs=SPAN
    )
    assert with_types.uses_token_types
    assert not without.uses_token_types
    np.testing.assert_array_equal(with_types.run(FEEDS)[0], without.run(FEEDS)[0])


@pytest.mark.parametrize(
    "content",
    [b"", b"not onnx at all\n" * 9, b"version https://git-lfs.github.com/spec/v1\n", bytes(999)],
    ids=["empty", "text", "lfs pointer", "zeros"],
)
def test_not_onnx(tmp_path: Path, content: bytes) -> None:
    """A file that is not ONNX is named as such, in one line."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="is not an ONNX model, or is truncated") as caught:
        Session(path, outputs=SPAN)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated(save_encoder: SaveEncoder, share: float) -> None:
    """A truncated model is an error of one line wherever it ends."""
    path = save_encoder()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ArtifactError, match=r"model\.onnx") as caught:
        Session(path, outputs=SPAN)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_not_utf8(save_encoder: SaveEncoder, capfd: pytest.CaptureFixture[str]) -> None:
    """The message of onnxruntime has the name in it and cannot be decoded: one line of ours, and nothing on stdout."""
    path = save_encoder()
    path.write_bytes(path.read_bytes().replace(b"\x05table", b"\x05t\x9able", 1))
    with pytest.raises(ArtifactError, match="not UTF-8"):
        Session(path, outputs=("start_logits", "end_logits"))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", ["input_ids", "start_logits", "batch"])
def test_inputs_outputs_and_dimensions_that_are_not_utf8(save_encoder: SaveEncoder, name: str) -> None:
    """A session opens such a model, and cannot say the names of what it takes: one line of ours."""
    path = save_encoder()
    old = name.encode()
    path.write_bytes(path.read_bytes().replace(old, old[:-2] + b"\xf0\xc5"))
    with pytest.raises(ArtifactError, match="not UTF-8"):
        Session(path, outputs=SPAN)


def test_missing_file(tmp_path: Path) -> None:
    """A model that is not there is an error that names it."""
    with pytest.raises(ArtifactError, match="no such model"):
        Session(tmp_path / "model.onnx", outputs=SPAN)


@pytest.mark.parametrize("left", [None, 10])
def test_external_data_missing_or_truncated(save_encoder: SaveEncoder, left: int | None) -> None:
    """External data that is missing or too short is named as the cause."""
    path = save_encoder()
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    data = path.with_name("model.onnx.data")
    if left is None:
        data.unlink()
    else:
        data.write_bytes(data.read_bytes()[:left])
    with pytest.raises(ArtifactError, match="external data is missing or truncated"):
        Session(path, outputs=SPAN)


def test_missing_input(save_encoder: SaveEncoder) -> None:
    """A graph without an attention mask is refused, with the inputs it has."""
    path = save_encoder(inputs=("input_ids", "token_type_ids"))
    with pytest.raises(ArtifactError, match=r"no input 'attention_mask' .it has input_ids, token_type_ids"):
        Session(path, outputs=SPAN)


def test_unknown_input(save_encoder: SaveEncoder) -> None:
    """A graph with an input nobody can fill is refused."""
    path = save_encoder(inputs=("input_ids", "attention_mask", "pixel_values"))
    with pytest.raises(ArtifactError, match="unknown input 'pixel_values'"):
        Session(path, outputs=SPAN)


def test_missing_output(save_encoder: SaveEncoder) -> None:
    """A model for another task is refused, with the outputs it has."""
    with pytest.raises(ArtifactError, match=r"no output 'start_logits' .it has label_logits"):
        Session(save_encoder(labels=True), outputs=SPAN)


def test_no_threads(save_encoder: SaveEncoder) -> None:
    """0 threads would mean "all" to onnxruntime; here it is a mistake."""
    with pytest.raises(UsageError, match="0 threads"):
        Session(save_encoder(), outputs=SPAN, threads=0)


def test_optimized_model(save_encoder: SaveEncoder, tmp_path: Path) -> None:
    """The graph that really runs can be written out."""
    written = tmp_path / "optimized.onnx"
    Session(save_encoder(), outputs=SPAN, writes=Written(optimized_model=written))
    assert onnx.load(written).graph.node


def test_stopped_run_raises(save_encoder: SaveEncoder) -> None:
    """A stop signal ends a run with an error instead of a result."""
    session, stop = Session(save_encoder(), outputs=SPAN), StopSignal()
    session.run(FEEDS, stop)
    stop.stop()
    with pytest.raises(Exception, match="terminate"):
        session.run(FEEDS, stop)
