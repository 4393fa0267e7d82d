"""With equal lengths an engine runs the graph without a mask, and takes no padding."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from quantkit.engines import open_engine
from quantkit.errors import ArtifactError, EvaluationError, UsageError
from quantkit.runtime.engine import Engine, Feeds
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.session import Arrays
from quantkit.runtime.where import Where

_GRAPH = """
<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>
tiny (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask) => (float[batch, sequence] logits) {
    hidden = Gather (table, input_ids)
    mask = Cast <to = 6> (attention_mask)
    attended = com.microsoft.MultiHeadAttention <num_heads = 2> (hidden, hidden, hidden, , mask)
    logits = ReduceSum <keepdims = 0> (attended, axes)
}
"""


@pytest.fixture
def attention(tmp_path: Path) -> Path:
    """Return a model of one attention."""
    model = onnx.parser.parse_model(_GRAPH)
    table = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(table, "table"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), "axes"))
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def feeds(ids: NDArray[np.int64], mask: NDArray[np.int64] | None = None) -> Feeds:
    """Return a batch, without padding unless a mask says so."""
    return {"input_ids": ids, "attention_mask": np.ones_like(ids) if mask is None else mask}


def opened(path: Path, engine: str, *, equal: bool, instances: int = 2) -> Engine:
    """Open the model."""
    profile = RuntimeProfile.model_validate(
        {"schema": "quantkit/runtime/1", "instances": instances, "engine": engine, "equal_lengths": equal}
    )
    return open_engine(path, outputs=("logits",), profile=profile)


@pytest.mark.parametrize("instances", [1, 2])
@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_same_answers(attention: Path, engine: str, instances: int) -> None:
    """Without padding the variant answers as the model does; messages call it by the model's own name."""
    ids = np.random.default_rng(1).integers(0, 40, (3, 7))
    with opened(attention, "threads", equal=False) as plain:
        expected = plain.submit(feeds(ids)).result()[0]
    with opened(attention, engine, equal=True, instances=instances) as variant:
        found = variant.submit(feeds(ids)).result()[0]
        assert variant.name == str(attention)
        with pytest.raises(
            EvaluationError, match=r"model.onnx: onnxruntime cannot run a batch of 1 x 1 tokens"
        ):
            variant.submit(feeds(np.array([[99]]))).result()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_padding_is_refused(attention: Path, engine: str) -> None:
    """A batch with padding would be answered wrongly, so it is not answered."""
    mask = np.array([[1, 1], [1, 0]])
    with (
        opened(attention, engine, equal=True) as variant,
        pytest.raises(EvaluationError, match="a batch of 2 x 2 tokens holds padding"),
    ):
        variant.submit(feeds(np.ones((2, 2), np.int64), mask))


@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_model_without_fused_attention(
    save_encoder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """A model that has no variant is an error, and nothing is left of the attempt."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    profile = RuntimeProfile.here().model_copy(update={"engine": engine, "equal_lengths": True})
    with pytest.raises(ArtifactError, match="do not ask for equal lengths"):
        open_engine(save_encoder(), outputs=("start_logits",), profile=profile)
    assert list(folder.glob("quantkit*")) == []


def test_reduction(save_encoder: Callable[..., Path]) -> None:
    """What a reduction makes of a batch is the answer; an engine that cannot run it where the batch runs refuses."""

    def longest(feeds: Feeds, outputs: Arrays) -> Arrays:
        return tuple(values.max(axis=1) + feeds["input_ids"].shape[1] for values in outputs)

    path, ids = save_encoder(), np.arange(1, 13).reshape(2, 6)
    given = {**feeds(ids), "token_type_ids": np.zeros_like(ids)}
    profile = RuntimeProfile(instances=1)
    with open_engine(path, outputs=("start_logits",), profile=profile) as plain:
        (logits,) = plain.submit(given).result()
    with open_engine(path, outputs=("start_logits",), profile=profile, reduction=longest) as engine:
        assert engine.by_position == (False,)
        (found,) = engine.submit(given).result()
    np.testing.assert_array_equal(found, logits.max(axis=1) + 6)
    with pytest.raises(UsageError, match="engine processes: gives back outputs as they are"):
        open_engine(
            path,
            outputs=("start_logits",),
            profile=profile.on(Where(engine="processes")),
            reduction=longest,
        )
