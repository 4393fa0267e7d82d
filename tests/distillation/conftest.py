"""A tiny teacher, students made from it, and questions: all in milliseconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from letters import LENGTH, WORDS, MakeCheckpoint, write_questions

from quantkit.checkpoint import read_checkpoint
from quantkit.distillation.pair import Pair, pair_up


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Run torch on one thread: models this small only wait for a second one."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """Return a function that saves a tiny model; one made from another keeps the first heads, neurons and layers."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from quantkit.checkpoint.decibert_config import DeciBertConfig

    def make(
        source: Path | None = None, *, family: str = "bert", task: str = "squad", **changes: Any
    ) -> Path:
        folder = tmp_path_factory.mktemp(family)
        (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
        common = {
            "vocab_size": len(WORDS),
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "max_position_embeddings": LENGTH,
            "initializer_range": 0.2,
            "num_labels": 2,
        }
        configs = {
            "bert": lambda: transformers.BertConfig(
                **{**common, "num_attention_heads": 4, "intermediate_size": 64, **changes}
            ),
            "distilbert": lambda: transformers.DistilBertConfig(
                **{"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, **changes},
                vocab_size=len(WORDS),
                max_position_embeddings=LENGTH,
                num_labels=2,
            ),
            "decibert": lambda: DeciBertConfig(**{**common, "attention_head_size": 8, **changes}),
        }
        head = "QuestionAnswering" if task == "squad" else "SequenceClassification"
        torch.manual_seed(7)
        model = getattr(transformers, f"AutoModelFor{head}").from_config(configs[family]())
        if source is not None:
            _inherit(model, getattr(transformers, f"AutoModelFor{head}").from_pretrained(source))
        model.save_pretrained(folder)
        return folder

    return make


def _inherit(model: Any, source: Any) -> None:
    theirs = {
        name.partition(".")[2]: weight for name, weight in source.base_model.named_parameters(prefix="x")
    }
    state = model.state_dict()
    for name, weight in model.base_model.named_parameters(prefix=model.base_model_prefix):
        kept = tuple(slice(0, size) for size in weight.shape)
        state[name] = theirs[name.partition(".")[2]][kept].detach().clone()
    model.load_state_dict(state)


@pytest.fixture(scope="session")
def teacher(make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint()


@pytest.fixture(scope="session")
def student(make_checkpoint: MakeCheckpoint, teacher: Path) -> Path:
    """Return a DeciBERT with half of the first attention, and no feed-forward network in the second layer."""
    return make_checkpoint(teacher, family="decibert", heads_per_layer=[2, 4], feed_forward_per_layer=[64, 0])


@pytest.fixture(scope="session")
def pair(student: Path, teacher: Path) -> Pair:
    return pair_up(
        read_checkpoint(str(student), task="squad"), read_checkpoint(str(teacher), task="squad"), None
    )


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 60 questions, of paragraphs of many lengths."""
    return write_questions(tmp_path_factory.mktemp("data") / "letters.json", 20)
