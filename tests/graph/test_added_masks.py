"""Masks added to scores: cut off where they are 0 for masks of ones, refused where anything else reads them."""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

from quantkit.errors import ArtifactError
from quantkit.graph.added_masks import cut_added_masks
from quantkit.graph.mask_free import write_mask_free

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
# Hidden keys get -10000; the shape of the ids decides on nothing but how far the mask is spread.
MASK = (
    "f = Cast <to = 1> (attention_mask) u = Sub (one, f) v = Mul (u, low) w = Unsqueeze (v, axis) "
    "shape = Shape (input_ids) zeros = ConstantOfShape (shape) z = Cast <to = 1> (zeros) "
    "zz = Unsqueeze (z, axis) m = Add (w, zz) "
)
ATTENTION = (
    "t = Transpose <perm = [0, 2, 1]> (x) s = MatMul (x, t) a = Add (s, m) p = Softmax (a) y = MatMul (p, x) "
)


def model(body: str) -> onnx.ModelProto:
    """Return attention over looked-up words, the mask made and read as `body` says."""
    inputs = "int64[b, s] input_ids, int64[b, s] attention_mask"
    found = onnx.parser.parse_model(
        f"{HEADER} tiny ({inputs}) => (float[b, s, k] y) {{ x = Gather (words, input_ids) {body} }}"
    )
    weights = {
        "words": np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32),
        "one": np.asarray(1, np.float32),
        "low": np.asarray(-1e4, np.float32),
        "axis": np.asarray([1], np.int64),
    }
    found.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    return found


def run(path: Path, mask: np.ndarray) -> np.ndarray:
    """Return the output for random ids."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    ids = np.random.default_rng(1).integers(0, 40, mask.shape)
    found: np.ndarray = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return found


@pytest.mark.parametrize("external", [False, True])
def test_equal_for_full_rows(tmp_path: Path, external: bool) -> None:
    """Rows without padding are answered as before; of the mask's making nothing is left, and it is still taken."""
    path = tmp_path / "model" / "model.onnx"
    path.parent.mkdir()
    onnx.save(
        model(MASK + ATTENTION),
        path,
        save_as_external_data=external,
        location="model.onnx.data",
        size_threshold=256,
    )
    ones = np.ones((3, 7), np.int64)
    variant = write_mask_free(path, tmp_path / "variant")
    np.testing.assert_allclose(run(variant, ones), run(path, ones), atol=1e-6, rtol=0)
    kept = [node.op_type for node in onnx.load(variant, load_external_data=False).graph.node]
    assert kept == ["Gather", "Transpose", "MatMul", "Softmax", "MatMul"]


def test_the_mask_is_not_read(tmp_path: Path) -> None:
    """Whatever the mask says, the variant reads every token."""
    path = tmp_path / "model.onnx"
    onnx.save(model(MASK + ATTENTION), path)
    mask = np.ones((2, 6), np.int64)
    variant = write_mask_free(path, tmp_path / "variant")
    full = run(variant, mask)
    mask[:, 3:] = 0
    np.testing.assert_array_equal(run(variant, mask), full)


def test_no_mask_is_added() -> None:
    """A graph whose scores get no mask is left as it is."""
    tiny = model("t = Transpose <perm = [0, 2, 1]> (x) s = MatMul (x, t) p = Softmax (s) y = MatMul (p, x)")
    before = tiny.SerializeToString()
    assert cut_added_masks(tiny, Path(), "tiny") == 0
    assert tiny.SerializeToString() == before


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        # Every key gets 1, padding or not: softmax would not change, but nobody can tell that from the value alone.
        (
            "f = Cast <to = 1> (attention_mask) m = Unsqueeze (f, axis) " + ATTENTION,
            "m is not 0 where all tokens are to be read",
        ),
        (
            MASK
            + ATTENTION.replace("y = MatMul (p, x)", "h = MatMul (p, x) r = ReduceSum (f) y = Mul (h, r)"),
            "more than attention scores is made of it",
        ),
    ],
)
def test_refused(body: str, reason: str) -> None:
    """A mask that is not nothing for full rows, or that something else reads, is an error."""
    with pytest.raises(ArtifactError, match=reason):
        cut_added_masks(model(body), Path(), "tiny")
