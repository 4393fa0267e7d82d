"""Makes a BERT for question answering of BERT-Large's shape with random weights: 340 M parameters, 1.3 GB.

    python benchmarks/models/bert_large_shape.py -o large --tokenizer CHECKPOINT
    quantkit export large -o large-fp32

It is for what only size shows: time and memory of every step, files above 1 GB. Nothing can be read from its answers.
Tokens come from the vocab.txt of another BERT checkpoint (`--tokenizer`), cut to `--vocab` entries if that is fewer.

The weights are normal, with a spread of 1/sqrt(inputs) so that every layer keeps the size of what it reads
(BERT's own 0.02 is nearly that at 1,024); LayerNorms are 1 and 0. Embeddings have a spread of 1. What is added to the
residual is divided by sqrt(2 layers), as attention and GELU have much in common for all tokens: added in full, 24
layers of it leave hardly a difference between tokens. So the logits of tokens vary by about 1. Each tensor has
its own seed and is drawn, written and let go, so that one tensor at a time is in memory.
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import BertConfig

from quantkit.errors import CheckpointError, QuantkitError, UsageError
from quantkit.files import new_folder, write_text
from quantkit.progress import track
from quantkit.tasks.tokenizer import Tokenizer

_POSITIONS = 512
ONES, ZEROS = -1.0, 0.0  # spreads of tensors that are not random


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    output: Path
    tokenizer: Path
    layers: int
    hidden: int
    heads: int
    ffn: int
    vocab: int
    seed: int
    force: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """A tensor to draw: name, shape, and the standard deviation of its values (or `ONES`, `ZEROS`)."""

    name: str
    shape: tuple[int, ...]
    spread: float

    @property
    def bytes(self) -> int:
        """The size in float32."""
        return 4 * int(np.prod(self.shape))


def read_options(arguments: Sequence[str] | None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the checkpoint folder to write")
    parser.add_argument("--tokenizer", type=Path, required=True, help="BERT checkpoint with a vocab.txt")
    for name, count in (("layers", 24), ("hidden", 1024), ("heads", 16), ("ffn", 4096), ("vocab", 30522)):
        parser.add_argument(f"--{name}", type=int, default=count, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace the folder")
    return Options(**vars(parser.parse_args(arguments)))


def list_tensors(options: Options, vocab_size: int) -> Iterator[Tensor]:
    """Yield what a BertForQuestionAnswering has, in the order of the file."""
    hidden, inner = options.hidden, options.ffn
    share = (2 * options.layers) ** -0.5

    def linear(name: str, inputs: int, outputs: int, share: float = 1.0) -> Iterator[Tensor]:
        yield Tensor(name=f"{name}.weight", shape=(outputs, inputs), spread=share * inputs**-0.5)
        yield Tensor(name=f"{name}.bias", shape=(outputs,), spread=0.02)

    def norm(name: str) -> Iterator[Tensor]:
        yield Tensor(name=f"{name}.weight", shape=(hidden,), spread=ONES)
        yield Tensor(name=f"{name}.bias", shape=(hidden,), spread=ZEROS)

    tables = (("word", vocab_size), ("position", _POSITIONS), ("token_type", 2))
    for name, rows in tables:
        full = f"bert.embeddings.{name}_embeddings.weight"
        yield Tensor(name=full, shape=(rows, hidden), spread=1.0 if name == "word" else 0.3)
    yield from norm("bert.embeddings.LayerNorm")
    for number in range(options.layers):
        layer = f"bert.encoder.layer.{number}"
        for name in ("query", "key", "value"):
            yield from linear(f"{layer}.attention.self.{name}", hidden, hidden)
        yield from linear(f"{layer}.attention.output.dense", hidden, hidden, share)
        yield from norm(f"{layer}.attention.output.LayerNorm")
        yield from linear(f"{layer}.intermediate.dense", hidden, inner)
        yield from linear(f"{layer}.output.dense", inner, hidden, share)
        yield from norm(f"{layer}.output.LayerNorm")
    yield from linear("qa_outputs", hidden, 2)


def draw(tensor: Tensor, seed: int) -> NDArray[np.float32]:
    """Return a tensor's values; they depend on the seed, its name and its shape alone."""
    if tensor.spread in (ONES, ZEROS):
        return np.full(tensor.shape, -tensor.spread, np.float32)
    key = hashlib.sha256(f"{seed} {tensor.name}".encode()).digest()
    values = np.random.default_rng(list(key)).standard_normal(tensor.shape, np.float32)
    values *= np.float32(tensor.spread)
    return values


def write_weights(path: Path, tensors: Sequence[Tensor], seed: int) -> None:
    """Write a safetensors file tensor by tensor: header length, JSON header padded to 8 bytes, data."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        begin, end = end, end + tensor.bytes
        header[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream, track("weights", len(tensors), "tensors") as advance:
        stream.write(len(text).to_bytes(8, "little"))
        stream.write(text)
        for tensor in tensors:
            stream.write(draw(tensor, seed).astype("<f4", copy=False).data)
            advance(1)


def write_tokenizer(source: Path, folder: Path, vocab: int) -> Tokenizer:
    """Write vocab.txt and the settings beside it.

    Raises:
        CheckpointError: there is no vocab.txt, or its special tokens are not among the first entries.
    """
    path = source / "vocab.txt"
    if not path.is_file():
        raise CheckpointError(f"{source}: has no vocab.txt; give a BERT checkpoint that has")
    words = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")[:vocab]
    if not {"[PAD]", "[UNK]", "[CLS]", "[SEP]"} <= set(words):
        raise CheckpointError(
            f"{path}: [PAD], [UNK], [CLS] and [SEP] are not among the first {vocab} entries"
        )
    write_text(folder / "vocab.txt", "\n".join(words) + "\n")
    settings = source / "tokenizer_config.json"
    if settings.is_file():
        shutil.copyfile(settings, folder / settings.name)
    return Tokenizer.load(folder)


def make_model(options: Options) -> None:
    """Write the checkpoint.

    Raises:
        CheckpointError: `--tokenizer` has no vocabulary.
        UsageError: the heads do not divide the width.
        OutputError: the folder cannot be written.
    """
    if min(options.layers, options.hidden, options.heads, options.ffn) < 1 or options.hidden % options.heads:
        raise UsageError(
            f"--heads: {options.heads} does not divide a width of {options.hidden}; give another"
        )
    with new_folder(options.output, force=options.force) as folder:
        tokenizer = write_tokenizer(options.tokenizer, folder, options.vocab)
        BertConfig(
            architectures=["BertForQuestionAnswering"],
            vocab_size=tokenizer.vocab_size,
            hidden_size=options.hidden,
            num_hidden_layers=options.layers,
            num_attention_heads=options.heads,
            intermediate_size=options.ffn,
            max_position_embeddings=_POSITIONS,
            pad_token_id=tokenizer.pad_id,
            dtype="float32",
        ).save_pretrained(folder)
        write_weights(
            folder / "model.safetensors", list(list_tensors(options, tokenizer.vocab_size)), options.seed
        )


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
