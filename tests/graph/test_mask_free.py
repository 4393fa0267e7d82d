"""The variant without a mask: equal for rows of one length, refused where the mask does more."""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

from quantkit.errors import ArtifactError
from quantkit.graph.mask_free import cut_masks, write_mask_free

HEADER = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'
ATTENTION = "{out} = com.microsoft.MultiHeadAttention <num_heads = 2> ({x}, {x}, {x}, , m)"
ONE_MASK = "m = Cast <to = 6> (attention_mask)"


def model(body: str = "", outputs: str = "float[b, s, k] y") -> onnx.ModelProto:
    """Return two attentions one after the other, or `body` behind the lookup x."""
    first, second = ATTENTION.format(x="x", out="h"), ATTENTION.format(x="h", out="y")
    body = body or f"{ONE_MASK} {first} {second}"
    inputs = "int64[b, s] input_ids, int64[b, s] attention_mask"
    found = onnx.parser.parse_model(
        f"{HEADER} tiny ({inputs}) => ({outputs}) {{ x = Gather (words, input_ids) {body} }}"
    )
    words = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    found.graph.initializer.append(numpy_helper.from_array(words, "words"))
    return found


def run(path: Path, mask: np.ndarray) -> np.ndarray:
    """Return the output for random ids."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    ids = np.random.default_rng(1).integers(0, 40, mask.shape)
    found: np.ndarray = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return found


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("shape", [(1, 5), (3, 17)])
def test_equal_for_equal_lengths(tmp_path: Path, shape: tuple[int, int], external: bool) -> None:
    """Rows without padding are answered as with the mask; the input is still taken."""
    path = tmp_path / "model" / "model.onnx"
    path.parent.mkdir()
    onnx.save(model(), path, save_as_external_data=external, location="model.onnx.data", size_threshold=0)
    expected = run(path, np.ones(shape, np.int64))
    variant = write_mask_free(path, tmp_path / "variant")
    assert variant == tmp_path / "variant" / "model.onnx"
    np.testing.assert_allclose(run(variant, np.ones(shape, np.int64)), expected, atol=1e-6, rtol=0)


def test_the_mask_is_not_read(tmp_path: Path) -> None:
    """The variant gives the same answer whatever the mask says: it is for full rows only."""
    path = tmp_path / "model.onnx"
    onnx.save(model(), path)
    mask = np.ones((2, 6), np.int64)
    variant = write_mask_free(path, tmp_path / "variant")
    full = run(variant, mask)
    mask[:, 3:] = 0
    np.testing.assert_array_equal(run(variant, mask), full)


def test_counts_attentions() -> None:
    """Every attention is cut off, trailing empty inputs go, and so does the cast."""
    tiny = model()
    assert cut_masks(tiny, Path(), "tiny") == 2
    assert [node.op_type for node in tiny.graph.node] == ["Gather", *["MultiHeadAttention"] * 2]
    assert [len(node.input) for node in tiny.graph.node][1:] == [3, 3]
    onnx.checker.check_model(tiny)


@pytest.mark.parametrize(
    ("body", "outputs", "reason"),
    [
        (
            f"{ONE_MASK} f = Cast <to = 1> (m) a = ReduceSum (f) h = Mul (x, a) "
            "y = com.microsoft.MultiHeadAttention <num_heads = 2> (h, h, h, , m)",
            "float[b, s, k] y",
            "ReduceSum  reads it too",
        ),
        ("y = Tanh (x)", "float[b, s, k] y", "no attention reads attention_mask"),
        (
            f"{ONE_MASK} y = com.microsoft.MultiHeadAttention <num_heads = 2> (x, x, x, , m)",
            "float[b, s, k] y, int32[b, s] m",
            "output m is made of it",
        ),
    ],
)
def test_refused(body: str, outputs: str, reason: str) -> None:
    """A mask that feeds the encoder otherwise, or no attention at all, is an error, and the model is as it was."""
    tiny = model(body, outputs)
    before = tiny.SerializeToString()
    with pytest.raises(ArtifactError, match=reason):
        cut_masks(tiny, Path(), "tiny")
    assert tiny.SerializeToString() == before


def test_a_mean_over_tokens_keeps_the_mask(tmp_path: Path) -> None:
    """What reads the mask behind every attention still does, and its answers to full rows are the same."""
    attention = "h = com.microsoft.MultiHeadAttention <num_heads = 2> (x, x, x, , m)"
    mean = "f = Cast <to = 1> (m) a = ReduceSum <keepdims = 1> (f, last) y = Div (h, a)"
    path = tmp_path / "model.onnx"
    onnx.save(model(f"last = Constant <value_ints = [1]> () {ONE_MASK} {attention} {mean}"), path)
    mask = np.ones((1, 6), np.int64)
    variant = write_mask_free(path, tmp_path / "variant")
    np.testing.assert_allclose(run(variant, mask), run(path, mask), atol=1e-6, rtol=0)


def test_not_a_model(tmp_path: Path) -> None:
    """A missing file and one that is no model are named."""
    path = tmp_path / "model.onnx"
    with pytest.raises(ArtifactError, match="no such model"):
        write_mask_free(path, tmp_path / "variant")
    path.write_bytes(b"no model")
    with pytest.raises(ArtifactError, match="is not an ONNX model"):
        write_mask_free(path, tmp_path / "variant")
