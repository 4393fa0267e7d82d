"""Questions about letters, and the vocabulary that they need: what tiny models of a distillation read."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

LETTERS = "abcdefgh"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "?"]
LENGTH = 48
"""Positions of the models."""
MakeCheckpoint = Callable[..., Path]


def write_questions(path: Path, paragraphs: int, *, first: int = 0) -> Path:
    """Write a file in SQuAD's format, three questions a paragraph, with ids from `first`."""
    rng = random.Random(first)
    articles = []
    for number in range(first, first + paragraphs):
        words = ["".join(rng.choices(LETTERS, k=rng.randint(1, 3))) for _ in range(rng.randint(4, 12))]
        qas = [
            {
                "id": f"q{number}-{place}",
                "question": f"{rng.choice(LETTERS)} ?",
                "answers": [{"text": rng.choice(words), "answer_start": 0}],
            }
            for place in range(3)
        ]
        articles.append({"title": f"t{number}", "paragraphs": [{"context": " ".join(words), "qas": qas}]})
    path.write_text(json.dumps({"version": "1.1", "data": articles}))
    return path


def copied(source: Path, folder: Path) -> Path:
    """Return a copy of a checkpoint that may be spoilt."""
    shutil.copytree(source, folder)
    return folder
