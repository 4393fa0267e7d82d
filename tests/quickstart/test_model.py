"""Tests of the committed model of the quickstart."""

import json
from collections.abc import Iterator

import pytest
from safetensors import safe_open

from quantkit.quickstart.generate import HELDOUT
from quantkit.tasks import WindowSettings
from quantkit.tasks.calibration_set import select
from quantkit.tasks.squad import TASK
from quantkit.tasks.tokenizer import Tokenizer

torch = pytest.importorskip("torch", reason="the model is built with torch (pip install quantkit[export])")

from transformers import BertForQuestionAnswering  # noqa: E402

from quantkit.quickstart.train import MODEL, report  # noqa: E402

FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}


def test_folder_is_an_ordinary_checkpoint() -> None:
    """The folder holds FP32 safetensors of at most 8 MB, what a tokenizer needs, and nothing to unpickle."""
    assert {path.name for path in MODEL.iterdir()} == FILES
    assert (MODEL / "model.safetensors").stat().st_size <= 8_000_000
    with safe_open(MODEL / "model.safetensors", framework="np") as tensors:
        assert {tensors.get_slice(name).get_dtype() for name in tensors.keys()} == {"F32"}  # noqa: SIM118


def test_vocabulary_has_the_tokenizers_size() -> None:
    """Embedding rows, config, vocab.txt and tokenizer agree."""
    size = Tokenizer.load(MODEL).vocab_size
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    with safe_open(MODEL / "model.safetensors", framework="np") as tensors:
        assert tensors.get_slice("bert.embeddings.word_embeddings.weight").get_shape()[0] == size
    assert config["vocab_size"] == size
    assert len((MODEL / "vocab.txt").read_text(encoding="utf-8").splitlines()) == size


def test_some_passages_need_several_windows() -> None:
    """The held-out part exercises windows: a few passages are longer than 384 tokens."""
    dataset = TASK.read(HELDOUT, "callcentre")
    windows = TASK.cut(dataset, Tokenizer.load(MODEL), WindowSettings())
    assert len(dataset.questions) + 16 <= len(windows) <= 2 * len(dataset.questions)


def test_calibration_set_is_shipped() -> None:
    """`--calib callcentre` selects 100 questions, none of them held out."""
    chosen = select("callcentre", "squad")
    assert len(chosen.ids) == 100
    assert not set(chosen.ids) & {question.id for question in TASK.read(HELDOUT, "callcentre").questions}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread: for rows this small, more of them only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_scores_hold_in_8_bits() -> None:
    """The model answers held-out questions right, also with weights and activations rounded to 8 bits."""
    model = BertForQuestionAnswering.from_pretrained(MODEL)
    scores = report(model, Tokenizer.load(MODEL), HELDOUT, limit=100)
    assert scores["questions"] == 100
    assert scores["f1"] >= 95
    assert scores["f1_rounded"] >= 0.999 * scores["f1"]
