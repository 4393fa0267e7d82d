"""Makes a small multi-label classifier or a small reranker of what callers want, and the data for it.

    python benchmarks/models/callers.py multi-label -o multi-label
    quantkit export multi-label/checkpoint -o multi-label-fp32 --task multi-label-classification
    quantkit evaluate multi-label-fp32 --data multi-label/data/evaluation.jsonl

    python benchmarks/models/callers.py reranking -o reranking
    quantkit export reranking/checkpoint -o reranking-fp32 --task reranking
    quantkit evaluate reranking-fp32 --data reranking/data/evaluation.jsonl

The sentences are those of `classifier.py`, of the same eight intents, with words lost and misheard.

* multi-label: a caller wants none to three things, and most name one more matter that must not count.
* reranking: a query is a sentence with one intent, and its eight passages are sentences too. Of relevance 2 is the one
  that wants the same, of relevance 1 those that want something else and name the matter, of 0 the rest.

The folder holds `checkpoint/` and `data/` with calibration.jsonl, selection.jsonl and evaluation.jsonl. A text's hash
decides its part, so none was trained on. It takes some minutes of one processor. `--steps` is for tests.
"""

import argparse
import hashlib
import itertools
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertForSequenceClassification

sys.path.insert(0, str(Path(__file__).parent))

from classifier import _CHOICE, SMALL, _intents, _mishear, labels, train_tokenizer
from small_bert import config_of, fit, padded, say_progress

from quantkit.errors import QuantkitError
from quantkit.files import new_folder, write_text
from quantkit.quickstart.values import Dice
from quantkit.tasks.tokenizer import Tokenizer

PASSAGES = 8
_PARTS = {
    "multi-label": {"calibration": 200, "selection": 1000, "evaluation": 2000},
    "reranking": {"calibration": 40, "selection": 200, "evaluation": 600},
}
_STEPS = {"multi-label": 1200, "reranking": 3500}
_WANTED = (1, 1, 1, 1, 2, 2, 2, 3, 0)  # how many things a caller wants, each as likely

_log = logging.getLogger("callers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """What the model reads and what it shall give.

    Attributes:
        texts: a text, or a query and a passage.
        target: what the logits shall be: 0 to 1 for each.
        row: what the file has of it.
    """

    texts: tuple[str, ...]
    target: tuple[float, ...]
    row: Mapping[str, Any]


Maker = Callable[[Dice], list[Example]]


def multi_label(dice: Dice) -> list[Example]:
    """Return one caller."""
    wanted = dice.shuffled(labels())[: dice.pick(_WANTED) + 1]
    other, wanted = wanted[0], sorted(wanted[1:], key=labels().index)
    parts = [_want(name, dice) for name in dice.shuffled(wanted)]
    if dice.chance(0.6) or not parts:
        parts.insert(int(dice.chance(0.5)), f"this is not about {_topic(other, dice)}")
    text = _said(f" {dice.pick(('and', 'also', 'then', 'besides'))} ".join(parts), dice)
    target = tuple(float(name in wanted) for name in labels())
    return [Example(texts=(text,), target=target, row={"text": text, "labels": wanted})]


def reranking(dice: Dice) -> list[Example]:
    """Return one query with its passages."""
    intent, *others = dice.shuffled(labels())
    query = _said(_want(intent, dice), dice)
    said = [(_want(intent, dice), 2)]
    said += [(f"{_want(name, dice)}, not about {_topic(intent, dice)}", 1) for name in others[:2]]
    said += [(f"{_want(name, dice)}, not about {_topic(others[0], dice)}", 0) for name in others[2:4]]
    said += [(_want(name, dice), 0) for name in others[4:7]]
    return [
        Example(
            texts=(query, passage),
            target=(relevance / 2,),
            row={"query": query, "passage": passage, "relevance": relevance},
        )
        for text, relevance in dice.shuffled(said)
        for passage in [_said(text, dice)]
    ]


def _want(intent: str, dice: Dice) -> str:
    return str(dice.pick(_intents()["intents"][intent]["want"]))


def _topic(intent: str, dice: Dice) -> str:
    return str(dice.pick(_intents()["intents"][intent]["topic"]))


def _said(text: str, dice: Dice) -> str:
    words = _CHOICE.sub(lambda match: dice.pick(match[1].split("|")), text).split()
    return " ".join(_mishear(words, dice)) or "hello"


def write_examples(make: Maker, part: str, seed: int) -> Iterator[list[Example]]:
    """Yield questions of a part without end; those of `training` may repeat, others do not."""
    dice, seen = Dice(f"{make.__name__} {part} {seed}"), set[str]()
    while True:
        found = make(dice)
        key = found[0].texts[0]
        number = hashlib.sha256(key.encode()).digest()[0] % 16
        belongs = (
            ("calibration", "selection", "selection", *["evaluation"] * 4)[number]
            if number < 7
            else "training"
        )
        if belongs != part or (part != "training" and key in seen):
            continue
        seen.add(key)
        yield found


def write_data(folder: Path, make: Maker, parts: Mapping[str, int], seed: int) -> None:
    """Write the files of all parts, JSON Lines."""
    for part, count in parts.items():
        questions = itertools.islice(write_examples(make, part, seed), count)
        lines = [
            json.dumps({"id": f"{part}-{number}", **example.row}) + "\n"
            for number, question in enumerate(questions, start=1)
            for example in question
        ]
        write_text(folder / f"{part}.jsonl", "".join(lines))


def train(
    tokenizer: Tokenizer, kind: str, batches: Iterator[list[Example]], *, steps: int, seed: int
) -> BertForSequenceClassification:
    """Return a trained model."""
    torch.manual_seed(seed)
    config = config_of(SMALL, tokenizer.vocab_size, labels() if kind == "multi-label" else ["LABEL_0"])
    if kind == "multi-label":
        config.problem_type = "multi_label_classification"
    model = BertForSequenceClassification(config)

    def next_loss() -> Tensor:
        rows = next(batches)
        logits = model(**_batch([row.texts for row in rows], tokenizer)).logits
        return _loss(logits, torch.tensor([row.target for row in rows]))

    fit(model, next_loss, steps=steps, rate=SMALL.rate)
    return model


def _loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the loss of several labels, each a yes or no; of one number, that of a query's order of passages."""
    if logits.shape[1] > 1:
        return functional.binary_cross_entropy_with_logits(logits, target)
    by_query = target.view(-1, PASSAGES)
    return functional.cross_entropy(logits.view(-1, PASSAGES), by_query / by_query.sum(dim=1, keepdim=True))


def _batch(texts: Sequence[tuple[str, ...]], tokenizer: Tokenizer) -> dict[str, Tensor]:
    """Return the inputs of texts or pairs, padded to the longest."""
    parts = [tokenizer.encode_ids([entry[at] for entry in texts]) for at in range(len(texts[0]))]
    rows = [tokenizer.row(*entry) for entry in zip(*parts, strict=True)]
    inputs = padded([ids for ids, _ in rows], tokenizer.pad_id)
    types = torch.zeros_like(inputs["input_ids"])
    for index, (_, kinds) in enumerate(rows):
        types[index, : len(kinds)] = torch.from_numpy(kinds)
    return {**inputs, "token_type_ids": types}


def make_model(output: Path, kind: str, *, steps: int, seed: int = 0, force: bool = False) -> None:
    """Write `checkpoint/` and `data/` into a new folder.

    Raises:
        OutputError: the folder cannot be written.
    """
    make = multi_label if kind == "multi-label" else reranking
    with new_folder(output, force=force) as folder:
        write_data(folder / "data", make, _PARTS[kind], seed)
        checkpoint = folder / "checkpoint"
        checkpoint.mkdir()
        tokenizer = train_tokenizer(checkpoint, SMALL.vocabulary, seed)
        source = write_examples(make, "training", seed)
        at_once = 32 if kind == "multi-label" else 6
        batches = (
            [example for question in itertools.islice(source, at_once) for example in question]
            for _ in itertools.count()
        )
        model = train(tokenizer, kind, batches, steps=steps, seed=seed)
        model.save_pretrained(checkpoint)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, save and report; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=list(_PARTS))
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for checkpoint/ and data/")
    parser.add_argument("--steps", type=int, help="of the optimizer (default: 1200, or 3500 for reranking)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and sentences (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace the folder")
    options = parser.parse_args(arguments)
    say_progress()
    torch.set_num_threads(options.threads)
    started = time.monotonic()
    try:
        make_model(
            options.output,
            options.kind,
            steps=options.steps or _STEPS[options.kind],
            seed=options.seed,
            force=options.force,
        )
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    _log.info("made in %.0f s", time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
