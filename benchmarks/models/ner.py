"""Makes a small BERT that finds names in sentences (NER), and the data for it.

    python benchmarks/models/ner.py -o ner
    quantkit export ner/checkpoint -o ner-fp32 --task token-classification
    quantkit evaluate ner-fp32 --data ner/data/evaluation.jsonl

Sentences are made from frames with places for people, places, organizations and dates. Many names are of several kinds
(Paris, Jordan, Ford), so only the words around them tell, many are made of syllables and were never seen in training,
and some words are lost: some sentences do not tell at all, and entity F1 stays below 100: what cannot be
lost cannot be measured.

The folder holds `checkpoint/` and `data/` with calibration.jsonl (200 sentences), selection.jsonl (1,000),
evaluation.jsonl (2,000), and evaluation.conll, the same in CoNLL. A sentence's hash decides its part. One seed
gives the same data; the weights are others each time, as `small_bert.learn_words` says. `--tiny` is for tests.
"""

import argparse
import hashlib
import itertools
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import BertForTokenClassification

sys.path.insert(0, str(Path(__file__).parent))

from small_bert import Size, config_of, fit, learn_words, padded, say_progress

from quantkit.errors import QuantkitError
from quantkit.files import new_folder, write_text
from quantkit.quickstart.values import Dice
from quantkit.tasks.tokenizer import Tokenizer

PARTS = {"calibration": 200, "selection": 1000, "evaluation": 2000}
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-DATE", "I-DATE")
_FRAMES = """
{PER} of {ORG} flew to {LOC} on {DATE} .
on {DATE} , {ORG} opened an office in {LOC} .
{PER} met {PER} in {LOC} .
{ORG} was sued by {ORG} .
the mayor of {LOC} thanked {PER} .
since {DATE} nobody has seen {PER} near {LOC} .
shares of {ORG} fell after {PER} resigned .
{LOC} and {LOC} are twinned since {DATE} .
"we are from {LOC}" , said {PER} , who works for {ORG} .
{PER} , born in {LOC} , joined {ORG} in {DATE} .
there was nothing to report that day .
{ORG} 's chief {PER} will visit {LOC} .
it rained in {LOC} all day .
a letter to {PER} arrived from {ORG} .
the weather was as bad as it had been the week before .
nobody had heard from {PER} for years .
nobody had heard from {ORG} for years .
{LOC} was in the news again .
{PER} was in the news again .
{ORG} was in the news again .
they all talk about {LOC} , and about {PER} .
they all talk about {ORG} , and about {LOC} .
"""
_SHARED = (
    "paris",
    "jordan",
    "ford",
    "washington",
    "sydney",
    "chelsea",
    "lincoln",
    "florence",
    "austin",
    "mercedes",
)
_FIRST = ("anna", "ben", "clara", "david", "emma", "felix", "grace", "henry", "iris", "jonas", "lena", "omar")
_FIRM = ("bank", "motors", "group", "labs", "records", "airways", "and sons")
_AREA = ("hills", "bay", "city", "falls", "springs")
_MONTHS = ("january", "march", "april", "june", "august", "october", "december")
_SYLLABLES = (
    "ba",
    "dor",
    "el",
    "fin",
    "gar",
    "ho",
    "is",
    "ka",
    "lun",
    "mo",
    "nes",
    "or",
    "pa",
    "ri",
    "sel",
    "tan",
    "ver",
)
_ROWS, _IGNORED, _LOST = 32, -100, 0.08
_log = logging.getLogger("ner")


SMALL = Size(hidden=96, layers=2, head=32, vocabulary=400, steps=800, rate=2e-3)
TINY = Size(hidden=32, layers=2, head=16, vocabulary=300, steps=200, rate=5e-3)

Tagged = list[tuple[str, str]]


def write_sentences(part: str, seed: int) -> Iterator[Tagged]:
    """Yield sentences of a part without end; those of `training` may repeat, others do not."""
    dice, seen = Dice(f"{part} {seed}"), set[str]()
    frames = [frame for frame in _FRAMES.splitlines() if frame]
    while True:
        sentence = _write(dice.pick(frames), dice)
        text = " ".join(word for word, _ in sentence)
        number = hashlib.sha256(text.encode()).digest()[0] % 16
        own = (
            ("calibration", "selection", "selection", *["evaluation"] * 4)[number]
            if number < 7
            else "training"
        )
        if own == part and sentence and (part == "training" or text not in seen):
            seen.add(text)
            yield sentence


def _write(frame: str, dice: Dice) -> Tagged:
    found: Tagged = []
    for word in frame.split():
        kind = word.strip('"').strip("{}")
        if kind not in ("PER", "LOC", "ORG", "DATE"):
            found += [] if dice.chance(_LOST) else [(word.strip('"'), "O")]
            continue
        name = _name(kind, dice).split()
        found += [(part, f"{'I' if at else 'B'}-{kind}") for at, part in enumerate(name)]
    return found


def _name(kind: str, dice: Dice) -> str:
    if kind == "DATE":
        year = dice.pick([str(number) for number in range(1950, 2026)])
        return f"{dice.pick(_MONTHS)} {year}" if dice.chance(0.5) else year
    base = dice.pick(_SHARED) if dice.chance(0.4) else "".join(dice.pick(_SYLLABLES) for _ in range(3))
    more = {
        "PER": (dice.pick(_FIRST), base),
        "LOC": (base, dice.pick(_AREA)),
        "ORG": (base, dice.pick(_FIRM)),
    }
    return " ".join(more[kind]) if dice.chance(0.35) else base


def write_data(folder: Path, seed: int) -> None:
    """Write the files of all parts, JSON Lines; the evaluation also as CoNLL."""
    for part, count in PARTS.items():
        sentences = list(itertools.islice(write_sentences(part, seed), count))
        rows = [
            {
                "id": f"{part}-{number}",
                "tokens": [word for word, _ in one],
                "ner_tags": [tag for _, tag in one],
            }
            for number, one in enumerate(sentences, start=1)
        ]
        write_text(folder / f"{part}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        if part == "evaluation":
            lines = ["".join(f"{word} {tag}\n" for word, tag in one) + "\n" for one in sentences]
            write_text(folder / f"{part}.conll", "".join(lines))


def train_tokenizer(folder: Path, vocabulary: int, seed: int) -> Tokenizer:
    """Learn the vocabulary and save its files into a folder."""
    sentences = itertools.islice(write_sentences("training", seed + 1), 5000)
    return learn_words((" ".join(word for word, _ in sentence) for sentence in sentences), folder, vocabulary)


def train(tokenizer: Tokenizer, size: Size, seed: int) -> BertForTokenClassification:
    """Return a trained model; the first piece of a word carries its label."""
    torch.manual_seed(seed)
    model = BertForTokenClassification(config_of(size, tokenizer.vocab_size, LABELS))
    sentences = write_sentences("training", seed)

    def next_loss() -> torch.Tensor:
        inputs, wanted = _batch(list(itertools.islice(sentences, _ROWS)), tokenizer)
        logits = model(**inputs).logits
        return functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=_IGNORED)

    fit(model, next_loss, steps=size.steps, rate=size.rate)
    return model


def _batch(sentences: Sequence[Tagged], tokenizer: Tokenizer) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    encoded = tokenizer.encode_words([[word for word, _ in sentence] for sentence in sentences])
    rows = [tokenizer.row(ids)[0] for ids, _ in encoded]
    inputs = padded(rows, tokenizer.pad_id)
    wanted = np.full(tuple(inputs["input_ids"].shape), _IGNORED, np.int64)
    for index, ((_, word_of), sentence) in enumerate(zip(encoded, sentences, strict=True)):
        for place in np.flatnonzero(np.diff(word_of, prepend=-1)):
            wanted[index, place + tokenizer.before_text] = LABELS.index(sentence[word_of[place]][1])
    return inputs, torch.from_numpy(wanted)


def make_ner(output: Path, size: Size, *, seed: int = 0, force: bool = False) -> None:
    """Write `checkpoint/` and `data/` into a new folder.

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
    started = time.monotonic()
    try:
        make_ner(options.output, TINY if options.tiny else SMALL, seed=options.seed, force=options.force)
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    _log.info("made in %.0f s", time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
