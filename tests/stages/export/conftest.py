"""Tiny random checkpoints of every family, as transformers writes them, with tokenizers made here."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors, trainers

from quantkit.artifact import Artifact
from quantkit.recipe.settings import ExportSettings
from quantkit.stages.export import export

CORPUS = ["Who wrote the long letter? Ann wrote it in Köln on a cold day.", "It is 42 euros, said the agent."]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiny:
    """A checkpoint on disk and what it is."""

    folder: Path
    family: str
    task: str


def write_wordpiece(folder: Path) -> int:
    """Write vocab.txt and return the number of tokens."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789.,?!")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return len(tokens)


def write_byte_level(folder: Path) -> int:
    """Train a byte-level BPE, write tokenizer.json and return the number of tokens."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.get_vocab_size())


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Run torch on one thread: models this small only wait for a second one."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def export_plain(
    make_checkpoint: Callable[[str, str], Tiny], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Artifact]:
    """Return a function that exports a tiny checkpoint with default settings, once per family and task."""
    made: dict[tuple[str, str], Artifact] = {}

    def plain(family: str, task: str) -> Artifact:
        if (family, task) not in made:
            out = tmp_path_factory.mktemp("exported") / "artifact"
            folder = make_checkpoint(family, task).folder
            made[family, task] = export(str(folder), out, task=task, settings=ExportSettings())
        return made[family, task]

    return plain


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Tiny]:
    """Return a function that makes a checkpoint of a family for a task, once per pair."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    made: dict[tuple[str, str], Tiny] = {}

    def make(family: str, task: str) -> Tiny:
        if (family, task) in made:
            return made[family, task]
        folder = tmp_path_factory.mktemp(f"{family}-{task}")
        vocabulary = write_byte_level(folder) if family == "roberta" else write_wordpiece(folder)
        common = {
            "vocab_size": vocabulary,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 64,
            "initializer_range": 0.3,
            "num_labels": 3,
        }
        configs = {
            "bert": lambda: transformers.BertConfig(**common),
            "roberta": lambda: transformers.RobertaConfig(
                **{**common, "max_position_embeddings": 66, "type_vocab_size": 1}
            ),
            "distilbert": lambda: transformers.DistilBertConfig(
                vocab_size=vocabulary,
                dim=32,
                n_layers=2,
                n_heads=4,
                hidden_dim=64,
                max_position_embeddings=64,
                initializer_range=0.3,
                num_labels=3,
            ),
            # Layers that differ, one without attention, one without a feed-forward network; factorised embeddings.
            "decibert": lambda: transformers.AutoConfig.for_model(
                "decibert",
                **{**common, "num_hidden_layers": 3},
                attention_head_size=8,
                heads_per_layer=[3, 0, 5],
                feed_forward_per_layer=[64, 32, 0],
                embedding_size=16,
            ),
            "electra": lambda: transformers.ElectraConfig(**common, embedding_size=16),
            "mobilebert": lambda: transformers.MobileBertConfig(
                **{**common, "hidden_size": 48, "initializer_range": 0.05},
                embedding_size=16,
                intra_bottleneck_size=32,
                num_feedforward_networks=2,
            ),
        }
        kinds = {
            "squad": transformers.AutoModelForQuestionAnswering,
            "text-classification": transformers.AutoModelForSequenceClassification,
            "token-classification": transformers.AutoModelForTokenClassification,
        }
        torch.manual_seed(7)
        config = configs[family]()
        if task == "squad":
            config.num_labels = 2
        model = kinds[task].from_config(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                # Biases of 0 and norms of 1 would hide a weight that was given the wrong name.
                if parameter.dim() == 1:
                    parameter.add_(0.1 * torch.randn_like(parameter))
                assert name
        model.save_pretrained(folder)
        made[family, task] = Tiny(folder=folder, family=family, task=task)
        return made[family, task]

    return make
