"""Makes a small BERT text classifier and the data for it: what does a caller want?

    python benchmarks/models/classifier.py -o classifier
    quantkit export classifier/checkpoint -o classifier-fp32 --task text-classification
    quantkit evaluate classifier-fp32 --data classifier/data/evaluation.jsonl

It is for proving that nothing in quantization knows of questions and spans. The sentences are made from `intents.yaml`:
eight intents, most sentences also name the matter of another intent, which must not count, and some words are
lost or misheard, as a transcript has them. So a few sentences cannot be told, others only just, and accuracy
stays below 100 %: what cannot be lost cannot be measured.

The folder holds `checkpoint/` and `data/` with calibration.jsonl (200 sentences), selection.jsonl (1,000) and
evaluation.jsonl (2,000), in the form that the task `text-classification` reads. A sentence's hash decides its part,
so no sentence is in two parts or was trained on. One seed gives the same data; the weights are others each time, as
`small_bert.learn_words` says. It takes about a minute of one processor. `--tiny` is for tests: seconds of training,
weights below 300 kB.
"""

import argparse
import functools
import hashlib
import itertools
import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.nn import functional
from transformers import BertForSequenceClassification

sys.path.insert(0, str(Path(__file__).parent))

from small_bert import POSITIONS, Size, config_of, fit, learn_words, padded, say_progress

from quantkit.errors import QuantkitError
from quantkit.files import new_folder, write_text
from quantkit.quickstart.values import Dice
from quantkit.tasks.tokenizer import Tokenizer

PARTS = {"calibration": 200, "selection": 1000, "evaluation": 2000}
"""Name of each file -> its sentences."""

_INTENTS = Path(__file__).parent / "intents.yaml"
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_ROWS = 32
_LOST, _MISHEARD = 0.10, 0.06  # shares of words

_log = logging.getLogger("classifier")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence and its label."""

    text: str
    label: str


SMALL = Size(hidden=96, layers=2, head=32, vocabulary=600, steps=1000, rate=2e-3)
TINY = Size(hidden=32, layers=2, head=16, vocabulary=500, steps=400, rate=5e-3)


@functools.cache
def _intents() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(_INTENTS.read_text(encoding="utf-8"))
    return found


def labels() -> list[str]:
    """Return the intents, in the order of the model's outputs."""
    return list(_intents()["intents"])


def write_sentences(part: str, seed: int) -> Iterator[Sentence]:
    """Yield sentences of a part without end; those of `training` may repeat, others do not."""
    dice, seen = Dice(f"{part} {seed}"), set[str]()
    while True:
        sentence = _write(dice)
        if _part(sentence.text) != part or (part != "training" and sentence.text in seen):
            continue
        seen.add(sentence.text)
        yield sentence


def _part(text: str) -> str:
    """Return the part a sentence belongs to, by its hash: 1/16, 2/16 and 4/16 are not trained on."""
    number = hashlib.sha256(text.encode()).digest()[0] % 16
    return (
        ("calibration", "selection", "selection", *["evaluation"] * 4)[number] if number < 7 else "training"
    )


def _write(dice: Dice) -> Sentence:
    table = _intents()
    label, other = dice.shuffled(labels())[:2]
    main = dice.pick(table["intents"][label]["want"])
    topic = dice.pick(table["intents"][other]["topic"])
    text = dice.pick(table["frames"]).replace("{main}", main).replace("{other}", topic)
    text = dice.pick(table["openings"]).split("|")[0] + text + dice.pick(table["closings"]).split("|")[0]
    words = _CHOICE.sub(lambda match: dice.pick(match[1].split("|")), text).split()
    return Sentence(text=" ".join(_mishear(words, dice)) or label, label=label)


def _mishear(words: Sequence[str], dice: Dice) -> Iterator[str]:
    for word in words:
        if dice.chance(_LOST):
            continue
        yield dice.pick(_words()) if dice.chance(_MISHEARD) else word


@functools.cache
def _words() -> tuple[str, ...]:
    """Return all words that callers use."""
    texts = [
        text for entry in _intents()["intents"].values() for kind in ("want", "topic") for text in entry[kind]
    ]
    return tuple(sorted(set(re.findall(r"[\w-]+", " ".join(texts)))))


def write_data(folder: Path, seed: int) -> None:
    """Write the files of all parts, JSON Lines."""
    for part, count in PARTS.items():
        rows = (
            {"id": f"{part}-{number}", "text": sentence.text, "label": sentence.label}
            for number, sentence in enumerate(itertools.islice(write_sentences(part, seed), count), start=1)
        )
        write_text(folder / f"{part}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def train_tokenizer(folder: Path, vocabulary: int, seed: int) -> Tokenizer:
    """Learn the vocabulary and save its files into a folder."""
    texts = (sentence.text for sentence in itertools.islice(write_sentences("training", seed + 1), 5000))
    return learn_words(texts, folder, vocabulary)


def train(tokenizer: Tokenizer, size: Size, seed: int) -> BertForSequenceClassification:
    """Return a trained model."""
    torch.manual_seed(seed)
    names = labels()
    model = BertForSequenceClassification(config_of(size, tokenizer.vocab_size, names))
    sentences = write_sentences("training", seed)

    def next_loss() -> torch.Tensor:
        rows = list(itertools.islice(sentences, _ROWS))
        wanted = torch.tensor([names.index(row.label) for row in rows])
        logits = model(**_batch([row.text for row in rows], tokenizer)).logits
        return functional.cross_entropy(logits, wanted)

    fit(model, next_loss, steps=size.steps, rate=size.rate)
    return model


def _batch(texts: Sequence[str], tokenizer: Tokenizer) -> dict[str, torch.Tensor]:
    """Return the inputs of texts, padded to the longest, cut to the position table."""
    rows = [tokenizer.row(ids[: POSITIONS - 2])[0] for ids in tokenizer.encode_ids(texts)]
    return padded(rows, tokenizer.pad_id)


def accuracy(model: BertForSequenceClassification, tokenizer: Tokenizer, path: Path) -> float:
    """Return the share (percent) of a file's sentences whose label is found."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(rows), 100):
            part = rows[start : start + 100]
            logits = model(**_batch([row["text"] for row in part], tokenizer)).logits
            found = logits.argmax(dim=1).tolist()
            right += sum(labels()[best] == row["label"] for best, row in zip(found, part, strict=True))
    return 100 * right / len(rows)


def make_classifier(output: Path, size: Size, *, seed: int = 0, force: bool = False) -> float:
    """Write `checkpoint/` and `data/` into a new folder and return the accuracy on the evaluation part in percent.

    Raises:
        OutputError: the folder cannot be written.
    """
    with new_folder(output, force=force) as folder:
        write_data(folder / "data", seed)
        checkpoint = folder / "checkpoint"
        checkpoint.mkdir()
        tokenizer = train_tokenizer(checkpoint, size.vocabulary, seed)
        model = train(tokenizer, size, seed)
        model.save_pretrained(checkpoint)
        return accuracy(model, tokenizer, folder / "data" / "evaluation.jsonl")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, save and report; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for checkpoint/ and data/")
    parser.add_argument("--tiny", action="store_true", help="the size for tests")
    parser.add_argument("--seed", type=int, default=0, help="of weights and sentences (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace the folder")
    options = parser.parse_args(arguments)
    say_progress()
    torch.set_num_threads(options.threads)
    started, cpu_started = time.monotonic(), time.process_time()
    try:
        score = make_classifier(
            options.output, TINY if options.tiny else SMALL, seed=options.seed, force=options.force
        )
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu_started
    _log.info("made in %.0f s, %.0f s of them on a processor", seconds, cpu)
    _log.info("accuracy on the evaluation part: %.2f %%", score)
    return 0


if __name__ == "__main__":
    sys.exit(main())
