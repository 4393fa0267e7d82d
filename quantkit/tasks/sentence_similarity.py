"""Sentence similarity: an embedding for each text, and for two texts the cosine of their embeddings.

A file has rows, such as lines of JSON:

    {"id": "1", "sentence1": "...", "sentence2": "...", "score": 3.8, "group": "..."}

A pair becomes two windows, one for each text. The score says how much alike the texts are, on any scale: only the order
of the pairs counts. Without a score, or with one text, a row is for calibration.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from quantkit.errors import DatasetError, UsageError
from quantkit.files import sha256_bytes
from quantkit.strict_json import read_json
from quantkit.tasks.reading import read_file
from quantkit.tasks.rows.columns import Meaning, called, made_id, text_id
from quantkit.tasks.rows.formats import Row, read_rows
from quantkit.tasks.task import (
    Dataset,
    Outputs,
    Prediction,
    Question,
    Right,
    Window,
    WindowSettings,
)
from quantkit.tasks.tokenizer import Tokenizer

SETTINGS = "sentence_bert_config.json"
_FORMAT = "give rows with sentence1, sentence2 and score, or texts alone"
_MEANINGS = (
    Meaning(
        name="text",
        known=("sentence1", "text1", "text", "sentence", "query", "anchor", "content"),
        needed=True,
    ),
    Meaning(name="text_pair", known=("sentence2", "text2", "text_pair", "positive", "passage")),
    Meaning(name="score", known=("score", "similarity_score", "similarity", "label")),
    Meaning(name="id", known=("id", "idx", "guid")),
    Meaning(name="group", known=("group",)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextsQuestion(Question):
    """A text, or two and how much alike they are; its group is its id unless the file says otherwise.

    Attributes:
        texts: one or two.
        score: None in a file for calibration.
    """

    texts: tuple[str, ...]
    score: float | None


class SentenceSimilarity:
    """The task `sentence-similarity`; see `quantkit.tasks.task.Task`."""

    name = "sentence-similarity"
    outputs = ("sentence_embedding",)
    head = "Model"
    per_token = False

    def read(self, path: Path, name: str, columns: Mapping[str, str] | None = None) -> Dataset:
        """Read rows of any form.

        Raises:
            DatasetError: the file is missing, empty, broken, of another schema, or has an id twice.
        """
        content = read_file(path)
        rows = read_rows(path, content, _FORMAT)
        named = called(path, rows.columns, _MEANINGS, columns or {})
        questions: dict[str, TextsQuestion] = {}
        for row in rows.rows:
            question = _question(row, path, named, questions)
            questions[question.id] = question
        digest = sha256_bytes(content)
        return Dataset(
            name=name,
            path=path,
            digest=digest,
            source=digest,
            task=self.name,
            questions=tuple(questions.values()),
        )

    def cut(self, dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
        """Return one window for each text of a question, cut to what the model reads.

        Raises:
            UsageError: `max_length` leaves no room for text.
        """
        longest = _longest(tokenizer, settings)
        room = longest - tokenizer.specials(1)
        if room < 1:
            raise UsageError(f"max_length: {longest} leaves no room for text; raise it")
        questions = cast(tuple[TextsQuestion, ...], dataset.questions)
        texts = [(index, text) for index, question in enumerate(questions) for text in question.texts]
        windows = []
        for (index, _), ids in zip(texts, tokenizer.encode_ids([text for _, text in texts]), strict=True):
            input_ids, token_type_ids = tokenizer.row(ids[:room])
            windows.append(Window(question=index, input_ids=input_ids, token_type_ids=token_type_ids))
        return windows

    def right(self, dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
        """Return nothing: no number of an embedding is right by itself."""
        del dataset
        return [((),) for _ in windows]

    def predict(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,
    ) -> list[Prediction]:
        """Return the cosine of each pair's embeddings.

        Raises:
            EvaluationError: an embedding is missing, NaN or infinite; it names the pair.
        """
        raise NotImplementedError

    def expected_scores(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,
    ) -> list[float]:
        """Return what `predict` says: a cosine does not jump."""
        raise NotImplementedError


def _longest(tokenizer: Tokenizer, settings: WindowSettings) -> int:
    """Return how many tokens of a text the model reads: what its own file says, and never more than it can."""
    path = tokenizer.folder / SETTINGS
    said = read_json(path).get("max_seq_length") if path.is_file() else None
    limits = [limit for limit in (said, tokenizer.max_positions) if isinstance(limit, int)]
    return min([settings.max_length, *limits])


def _question(row: Row, path: Path, named: Mapping[str, str], taken: Mapping[str, object]) -> TextsQuestion:
    """Return the texts of one row.

    Raises:
        DatasetError: it has none, its score is no number, or its id was used before.
    """

    def value(name: str) -> Any:
        return row.values.get(named[name]) if name in named else None

    texts = []
    for name in ("text", "text_pair"):
        if name not in named:
            continue
        text = value(name)
        if not isinstance(text, str):
            raise DatasetError(f"{path}: {row.place}: {named[name]} is {text!r}, not text; {_FORMAT}")
        texts.append(text)
    score = _score(value("score"), row, path, named) if "score" in named else None
    group = value("group")
    name = text_id(row, path, named, taken) or made_id([*texts, score], taken)
    return TextsQuestion(
        id=name, group=name if group in (None, "") else str(group), texts=tuple(texts), score=score
    )


def _score(value: Any, row: Row, path: Path, named: Mapping[str, str]) -> float:
    """Return a number; in a CSV file every number is text."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{path}: {row.place}: {named['score']} is {value!r}, not a number; {_FORMAT}")
    return number


TASK = SentenceSimilarity()
