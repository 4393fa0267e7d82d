"""Questions without an answer (SQuAD 2.0): read, answered by a threshold, scored; v1.1 stays what it was."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from quantkit.errors import DatasetError, UsageError
from quantkit.metrics.answers import f1
from quantkit.metrics.answers_v2 import f1_v2
from quantkit.tasks import Dataset, WindowSettings, task
from quantkit.tasks.squad.answers import Candidate
from quantkit.tasks.squad.cutting import SquadWindow
from quantkit.tasks.squad.parts import parts_of
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.squad.threshold import _best
from quantkit.tasks.task import Outputs
from quantkit.tasks.tokenizer import Tokenizer

SQUAD = task("squad")
SMALL = WindowSettings(max_length=16, doc_stride=3, max_query_length=3, n_best=4, max_answer_length=3)
CONTEXT = "who wrote the long letter is price " * 2
ANSWERED = {
    "id": "a",
    "question": "who",
    "answers": [{"text": "letter", "answer_start": 19}],
    "is_impossible": False,
}
IMPOSSIBLE = {
    "id": "b",
    "question": "price",
    "answers": [],
    "is_impossible": True,
    "plausible_answers": [{"text": "long", "answer_start": 14}],
}


def nested(*questions: dict[str, Any]) -> str:
    return json.dumps(
        {"data": [{"title": "t", "paragraphs": [{"context": CONTEXT, "qas": list(questions)}]}]}
    )


def read(folder: Path, text: str, name: str = "v2.json") -> Dataset:
    path = folder / name
    path.write_text(text)
    return SQUAD.read(path, "v2")


def asked(dataset: Dataset) -> list[tuple[tuple[str, ...], bool, bool]]:
    """Return (answers, impossible, nullable) of each question."""
    questions = cast(tuple[SquadQuestion, ...], dataset.questions)
    return [(question.answers, question.impossible, question.nullable) for question in questions]


BOTH = [(("letter",), False, True), ((), True, True)]


def as_rows(*questions: dict[str, Any]) -> str:
    """Return rows as `datasets` has squad_v2: without is_impossible."""
    rows = [
        {
            "id": entry["id"],
            "question": entry["question"],
            "context": CONTEXT,
            "answers": {"text": [answer["text"] for answer in entry["answers"]], "answer_start": []},
        }
        for entry in questions
    ]
    return "\n".join(map(json.dumps, rows))


def as_csv(*questions: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "question", "context", "answer", "is_impossible"])
    for entry in questions:
        first = entry["answers"][0]["text"] if entry["answers"] else ""
        writer.writerow([entry["id"], entry["question"], CONTEXT, first, entry["is_impossible"]])
    return text.getvalue()


@pytest.mark.parametrize(("name", "write"), [("v2.json", nested), ("v2.jsonl", as_rows), ("v2.csv", as_csv)])
def test_impossible_questions_are_read(name: str, write: Any, tmp_path: Path) -> None:
    """SQuAD's own JSON, the rows of `datasets` and a column say it; plausible answers are no answers."""
    assert asked(read(tmp_path, write(ANSWERED, IMPOSSIBLE), name)) == BOTH


def test_without_one_a_file_is_v1(tmp_path: Path) -> None:
    """A file in which every question has an answer has no null answers, whatever keys it has."""
    assert asked(read(tmp_path, nested(ANSWERED))) == [(("letter",), False, False)]


def test_a_part_is_scored_as_its_file(tmp_path: Path) -> None:
    """Choosing questions does not change how they are answered."""
    assert asked(read(tmp_path, nested(ANSWERED, IMPOSSIBLE)).limit(1)) == BOTH[:1]


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ({**IMPOSSIBLE, "is_impossible": False}, "'b' has no answers; say is_impossible: true"),
        ({**ANSWERED, "is_impossible": True}, "'a' is_impossible and has answers; keep one"),
        ({**ANSWERED, "is_impossible": "no"}, "is_impossible: Input should be a valid boolean"),
    ],
)
def test_contradictions_are_one_line(question: dict[str, Any], line: str, tmp_path: Path) -> None:
    """A question has answers or is impossible."""
    with pytest.raises(DatasetError, match=line):
        read(tmp_path, nested(question))


def outputs_of(rows: list[SquadWindow], nulls: dict[int, float], best: float) -> list[Outputs]:
    """Return logits: each window's null score (2 of each), and one span, the first token's, with the score `best`."""
    found = []
    for index, row in enumerate(rows):
        starts = np.full(len(row.input_ids), -9, np.float32)
        starts[0] = nulls[index] / 2
        starts[row.first + row.widest[0]] = best / 2
        found.append((starts, starts.copy()))
    return found


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Return a question with an answer and an impossible one about the same text, of several windows."""
    return read(tmp_path, nested(ANSWERED, IMPOSSIBLE))


@pytest.mark.parametrize(
    ("above", "threshold", "empty"),
    [(0.0, 0.0, False), (0.5, 0.0, True), (0.5, 0.5, False), (-1.0, -2.0, True), (-2.0, -2.0, False)],
)
def test_no_answer_is_given_above_the_threshold(
    dataset: Dataset, wordpiece: Tokenizer, above: float, threshold: float, empty: bool
) -> None:
    """Null wins when it is above the best span by more than the threshold; the window with the least null counts."""
    settings = replace(SMALL, null_score_diff_threshold=threshold)
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, wordpiece, settings))
    assert [row.question for row in rows] == [0, 0, 1, 1]
    nulls = dict.fromkeys(range(len(rows)), 50.0) | {1: 4 + above, 2: 4 + above}
    found = SQUAD.predict(dataset, rows, outputs_of(rows, nulls, 4.0), settings)
    assert [prediction.answer == "" for prediction in found] == [empty, empty]
    assert [prediction.f1 for prediction in found] == [0.0, float(empty)]


def test_v1_never_answers_with_nothing(dataset: Dataset, wordpiece: Tokenizer) -> None:
    """Where a file has no impossible question a high null score changes neither answers nor expected scores."""
    asked = cast(tuple[SquadQuestion, ...], dataset.questions)
    questions = tuple(replace(entry, answers=("who",), impossible=False, nullable=False) for entry in asked)
    plain = replace(dataset, questions=questions)
    rows = cast(list[SquadWindow], SQUAD.cut(plain, wordpiece, SMALL))
    low, high = (outputs_of(rows, dict.fromkeys(range(len(rows)), null), 4.0) for null in (-18.0, 99.0))
    assert SQUAD.predict(plain, rows, high, SMALL) == SQUAD.predict(plain, rows, low, SMALL)
    assert all(prediction.answer for prediction in SQUAD.predict(plain, rows, high, SMALL))


def test_expected_scores_weigh_no_answer(dataset: Dataset, wordpiece: Tokenizer) -> None:
    """Of two choices, null 1 below a span that is wrong, the impossible question expects softmax's share of null."""
    settings = replace(SMALL, n_best=1, null_score_diff_threshold=0.25)
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, wordpiece, settings))
    one = [next(row for row in rows if row.question == index) for index in (0, 1)]
    outputs = []
    for row in one:
        starts = np.full(len(row.input_ids), -30, np.float32)
        starts[row.first] = 2.0
        starts[0] = 1.5
        outputs.append((starts, starts.copy()))
    answer = SQUAD.predict(dataset, one, outputs, settings)[0].answer
    # The span has 4, null 3, less the threshold of 0.25.
    null = 1 / (1 + np.exp(4 - 2.75))
    wanted = [(1 - null) * f1(answer, ("letter",)), null]
    assert SQUAD.expected_scores(dataset, one, outputs, settings) == pytest.approx(wanted, abs=1e-12)


def test_the_first_token_is_right_where_no_answer_is(dataset: Dataset, wordpiece: Tokenizer) -> None:
    """To learn from, a window without an answer points at [CLS]; one with it points at the answer alone."""
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, wordpiece, SMALL))
    found = SQUAD.right(dataset, rows)
    for row, (first, last) in zip(rows, found, strict=True):
        assert (first == (0,)) == (last == (0,))
        assert first == (0,) or row.question == 0
    assert any(first != (0,) for first, _ in found)


def test_parts_are_those_of_the_official_script(dataset: Dataset, tmp_path: Path) -> None:
    """HasAns and NoAns are scored on their own, and not for v1.1."""
    assert parts_of(dataset) == {"HasAns": (0,), "NoAns": (1,)}
    assert parts_of(read(tmp_path, nested(ANSWERED), "v1.json")) == {}


def scored(found: list[Candidate], golds: list[tuple[str, ...]], threshold: float) -> float:
    """Return F1 in percent with a threshold."""
    given = ["" if one.above > threshold else one.answer for one in found]
    return 100 * sum(map(f1_v2, given, golds)) / len(golds)


def test_the_best_threshold_is_that_of_a_search() -> None:
    """No threshold of all that tell the questions apart has a greater F1, and the F1 is its own."""
    random = np.random.default_rng(1)
    for _ in range(50):
        golds: list[tuple[str, ...]] = [("letter",) if known else () for known in random.random(6) < 0.5]
        questions = [
            SquadQuestion(
                id="q", group="g", question="", context="", answers=gold, impossible=not gold, nullable=True
            )
            for gold in golds
        ]
        found = [
            Candidate(answer=str(random.choice(["letter", "price", ""])), above=float(random.integers(-3, 4)))
            for _ in golds
        ]

        best = _best(questions, found)
        assert best.f1 == pytest.approx(
            max(scored(found, golds, threshold) for threshold in np.arange(-5, 5, 0.5)), abs=1e-9
        )
        assert scored(found, golds, best.threshold) == pytest.approx(best.f1, abs=1e-9)


def test_a_threshold_that_is_no_number_is_refused() -> None:
    """The threshold may be below zero, and is not in digests where it is 0."""
    with pytest.raises(UsageError, match="null_score_diff_threshold: is nan; give a number"):
        WindowSettings(null_score_diff_threshold=float("nan"))
    assert WindowSettings(null_score_diff_threshold=-3.5).as_json()["null_score_diff_threshold"] == -3.5
    assert "null_score_diff_threshold" not in WindowSettings().as_json()
