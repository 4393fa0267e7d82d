"""Makes a DeciBERT for question answering with random weights: by default 115 M parameters, 460 MB.

    python benchmarks/models/decibert_shape.py -o decibert-large --tokenizer ROBERTA
    quantkit export decibert-large -o decibert-large-fp32

The default shape, decibert_large.json, is our reconstruction of DeciBERT-Large: BERT-Large's width, RoBERTa's tokenizer
and 115 M parameters are what is known of it, and its layers were never disclosed. `--shape` takes another config.json.
As of bert_large_shape.py: it is for speed, memory and size, and nothing can be read from its answers.

The tokenizer's files come from another checkpoint (`--tokenizer`). Rows of the table for words that it does not have
are there and never looked up. Weights are drawn as bert_large_shape.py draws them.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_large_shape import ONES, ZEROS, Tensor, write_weights

from quantkit.architectures import Config, architecture
from quantkit.checkpoint.decibert_config import DeciBertConfig
from quantkit.errors import CheckpointError, QuantkitError
from quantkit.files import new_folder
from quantkit.strict_json import read_json
from quantkit.tasks.tokenizer import Tokenizer

SHAPE = Path(__file__).with_name("decibert_large.json")
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    output: Path
    tokenizer: Path
    shape: Path
    seed: int
    force: bool


def read_options(arguments: Sequence[str] | None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the checkpoint folder to write")
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="checkpoint whose tokenizer has the shape's padding id"
    )
    parser.add_argument(
        "--shape", type=Path, default=SHAPE, help="config.json (default: decibert_large.json)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace the folder")
    return Options(**vars(parser.parse_args(arguments)))


def list_tensors(config: Config) -> Iterator[Tensor]:
    """Yield what a DeciBertForQuestionAnswering has, in the order of the file."""
    layers = architecture(config.values, config.where).read_shape(config).layers
    hidden = config.count("hidden_size")
    narrow = config.count("embedding_size", hidden)
    share = (2 * len(layers)) ** -0.5

    def linear(name: str, inputs: int, outputs: int, share: float = 1.0) -> Iterator[Tensor]:
        if inputs:
            yield Tensor(name=f"{name}.weight", shape=(outputs, inputs), spread=share * inputs**-0.5)
        yield Tensor(name=f"{name}.bias", shape=(outputs,), spread=0.02)

    def norm(name: str) -> Iterator[Tensor]:
        yield Tensor(name=f"{name}.weight", shape=(hidden,), spread=ONES)
        yield Tensor(name=f"{name}.bias", shape=(hidden,), spread=ZEROS)

    tables = (
        ("word", config.count("vocab_size"), narrow),
        ("position", config.count("max_position_embeddings"), hidden),
        ("token_type", config.count("type_vocab_size", 2), hidden),
    )
    for name, rows, width in tables:
        full = f"decibert.embeddings.{name}_embeddings.weight"
        yield Tensor(name=full, shape=(rows, width), spread=1.0 if name == "word" else 0.3)
    if narrow < hidden:
        yield Tensor(
            name="decibert.embeddings.projection.weight", shape=(hidden, narrow), spread=narrow**-0.5
        )
    yield from norm("decibert.embeddings.LayerNorm")
    for number, shape in enumerate(layers):
        layer, inner = f"decibert.encoder.layer.{number}", shape.heads * shape.head_size
        for name in ("query", "key", "value") if inner else ():
            yield from linear(f"{layer}.attention.self.{name}", hidden, inner)
        yield from linear(f"{layer}.attention.output.dense", inner, hidden, share)
        yield from norm(f"{layer}.attention.output.LayerNorm")
        if shape.feed_forward:
            yield from linear(f"{layer}.intermediate.dense", hidden, shape.feed_forward)
        yield from linear(f"{layer}.output.dense", shape.feed_forward, hidden, share)
        yield from norm(f"{layer}.output.LayerNorm")
    yield from linear("qa_outputs", hidden, 2)


def read_shape(path: Path) -> dict[str, Any]:
    """Return a config.json of the family.

    Raises:
        CheckpointError: it cannot be read, or is another family's.
    """
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({error}); give a config.json") from None
    if not isinstance(values, dict) or values.get("model_type") != "decibert":
        raise CheckpointError(f"{path}: is no config.json of a decibert; give one")
    return values


def make_model(options: Options) -> None:
    """Write the checkpoint.

    Raises:
        CheckpointError: the shape or the tokenizer cannot be used, or one does not fit the other.
        OutputError: the folder cannot be written.
    """
    values = read_shape(options.shape)
    config = Config(values=values, where=str(options.shape))
    tensors = list(list_tensors(config))
    with new_folder(options.output, force=options.force) as folder:
        for name in _TOKENIZER:
            if (options.tokenizer / name).is_file():
                shutil.copyfile(options.tokenizer / name, folder / name)
        DeciBertConfig(
            **{key: value for key, value in values.items() if key != "model_type"}
        ).save_pretrained(folder)
        tokenizer = Tokenizer.load(folder)
        tokenizer.check_vocabulary(config.count("vocab_size"))
        if tokenizer.pad_id != values.get("pad_token_id", 0):
            raise CheckpointError(
                f"{options.tokenizer}: its padding id is {tokenizer.pad_id}, and {options.shape} says "
                f"{values.get('pad_token_id', 0)}; give a tokenizer of that kind"
            )
        write_weights(folder / "model.safetensors", tensors, options.seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the checkpoint; return the exit code."""
    try:
        make_model(read_options(arguments))
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
