"""Pairs of sentences of known likeness, made of a file in SQuAD format: what embeddings are tried on without STS data.

    python benchmarks/models/sentence_pairs.py ../shared/data/squad/dev-v1.1.json -o pairs.jsonl --texts texts.jsonl

A question is paired with four texts: the sentence that answers it (score 3), another question about its paragraph (2),
another question about its article (1), and a question about another article (0). Texts are sentences of the paragraphs,
for calibration.
"""

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

QUESTIONS = 8  # of each article
TEXTS = 600
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_SHORTEST = 5  # words


def pairs(articles: list[dict[str, Any]], seed: int) -> Iterator[dict[str, Any]]:
    """Give the pairs of every article."""
    chance = random.Random(seed)  # noqa: S311  (nothing is secret here)
    for place, article in enumerate(articles):
        asked = [(number, qa) for number, part in enumerate(article["paragraphs"]) for qa in part["qas"]]
        chance.shuffle(asked)
        elsewhere = [other for number, other in enumerate(articles) if number != place]
        for number, qa in asked[:QUESTIONS]:
            paragraph = article["paragraphs"][number]
            foreign = chance.choice(chance.choice(elsewhere)["paragraphs"])
            likes = {
                3: [answering(paragraph["context"], qa["answers"][0]["answer_start"])],
                2: [other["question"] for other in paragraph["qas"] if other["id"] != qa["id"]],
                1: [other["question"] for part, other in asked if part != number],
                0: [other["question"] for other in foreign["qas"]],
            }
            for score, texts in likes.items():
                if texts and all(texts):
                    yield {
                        "id": f"{qa['id']}-{score}",
                        "sentence1": qa["question"],
                        "sentence2": chance.choice(texts),
                        "score": score,
                        "group": article["title"],
                    }


def sentences(text: str) -> list[str]:
    """Return the sentences of a text that are not very short."""
    return [found for found in _SENTENCE_END.split(text) if len(found.split()) >= _SHORTEST]


def answering(context: str, start: int) -> str:
    """Return the sentence in which an answer begins, empty where it is none of `sentences`."""
    at = 0
    for sentence in sentences(context):
        first = context.index(sentence, at)
        at = first + len(sentence)
        if first <= start < at:
            return sentence
    return ""


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("squad", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    articles = json.loads(given.squad.read_text(encoding="utf-8"))["data"]
    write(given.output, list(pairs(articles, given.seed)))
    if given.texts is not None:
        found = [
            text
            for article in articles
            for part in article["paragraphs"]
            for text in sentences(part["context"])
        ]
        random.Random(given.seed).shuffle(found)  # noqa: S311  (likewise)
        write(given.texts, [{"text": text} for text in found[:TEXTS]])


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write lines of JSON."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{path}: {len(rows)} rows")


if __name__ == "__main__":
    main()
