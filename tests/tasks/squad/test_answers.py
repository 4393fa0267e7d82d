"""Answers from logits, against a search written the long way."""

import math
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantkit.errors import EvaluationError
from quantkit.metrics.answers import f1
from quantkit.tasks import Dataset, WindowSettings, task
from quantkit.tasks.squad.cutting import SquadWindow
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.tokenizer import Tokenizer

Logits = tuple[NDArray[np.float32], NDArray[np.float32]]
CONTEXTS = ["who wrote the long letter is price " * 3, "price", " ", "the letter who"]
SMALL = WindowSettings(max_length=16, doc_stride=3, max_query_length=3, n_best=4, max_answer_length=3)
SQUAD = task("squad")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Return one question for each context; the answers do not matter."""
    questions = tuple(
        SquadQuestion(id=f"q{index}", group="g", context=context, question="who", answers=("letter",))
        for index, context in enumerate(CONTEXTS)
    )
    return Dataset(name="d", path=Path("d.json"), digest="0", source="0", task="squad", questions=questions)


def all_spans(
    rows: list[SquadWindow], outputs: list[Logits], chosen: WindowSettings
) -> dict[int, list[tuple[float, str]]]:
    """Return (score, text) of every legal pair of ranks of each question, in the order of windows and ranks."""
    found: dict[int, list[tuple[float, str]]] = {}
    for row, (start_logits, end_logits) in zip(rows, outputs, strict=True):
        ranked = [
            sorted(range(len(logits)), key=lambda index: logits[index], reverse=True)[: chosen.n_best]
            for logits in (start_logits.tolist(), end_logits.tolist())
        ]
        for start in ranked[0]:
            for end in ranked[1]:
                first, last = start - row.first, end - row.first
                inside = first >= 0 and 0 <= last < len(row.offsets)
                widest = row.widest[0] <= first < row.widest[0] + row.widest[1]
                if inside and widest and 0 <= last - first < chosen.max_answer_length:
                    text = CONTEXTS[row.question][row.offsets[first][0] : row.offsets[last][1]]
                    score = float(start_logits[start]) + float(end_logits[end])
                    found.setdefault(row.question, []).append((score, text))
    return found


def search(rows: list[SquadWindow], outputs: list[Logits], chosen: WindowSettings) -> dict[int, str]:
    """Find each question's answer pair by pair, as the original script does: the first of the best."""
    found = all_spans(rows, outputs, chosen)
    return {question: max(spans, key=lambda span: span[0])[1] for question, spans in found.items()}


def draw_outputs(data: st.DataObject, rows: list[SquadWindow]) -> list[Logits]:
    """Draw logits from few values, so that many are equal."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    values = data.draw(st.integers(2, 50))
    return [
        cast(
            Logits,
            tuple(rng.integers(-values, values, len(row.input_ids)).astype(np.float32) / 4 for _ in range(2)),
        )
        for row in rows
    ]


@pytest.mark.parametrize("n_best", [1, 4, 1000])
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_answers_equal_a_search_over_all_pairs(
    dataset: Dataset, wordpiece: Tokenizer, n_best: int, data: st.DataObject
) -> None:
    """The answer is what pairing ranks one by one finds first; a great n_best makes it the best span."""
    chosen = replace(SMALL, n_best=n_best)
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, wordpiece, chosen))
    outputs = draw_outputs(data, rows)
    found = search(rows, outputs, chosen)
    predictions = SQUAD.predict(dataset, rows, outputs, chosen)
    assert [found.get(index, "") for index in range(len(CONTEXTS))] == [row.answer for row in predictions]
    assert [question.id for question in dataset.questions] == [row.id for row in predictions]


@pytest.mark.parametrize("n_best", [1, 4, 1000])
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_expected_scores_equal_a_sum_over_all_pairs(
    dataset: Dataset, wordpiece: Tokenizer, n_best: int, data: st.DataObject
) -> None:
    """A question's expected F1 is the mean over its `n_best` best spans by their softmax: 0 to 1."""
    chosen = replace(SMALL, n_best=n_best)
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, wordpiece, chosen))
    outputs = draw_outputs(data, rows)
    spans = all_spans(rows, outputs, chosen)
    expected = []
    for index, question in enumerate(cast(tuple[SquadQuestion, ...], dataset.questions)):
        best = sorted(spans.get(index, [(0.0, "")]), key=lambda span: -span[0])[:n_best]
        shares = [math.exp(score - best[0][0]) for score, _ in best]
        scores = [f1(text, question.answers) for _, text in best]
        expected.append(sum(a * b for a, b in zip(shares, scores, strict=True)) / sum(shares))
    found = SQUAD.expected_scores(dataset, rows, outputs, chosen)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert all(0 <= score <= 1 + 1e-12 for score in found)


def test_expected_scores_of_one_span_are_its_f1(dataset: Dataset, wordpiece: Tokenizer) -> None:
    """With one span a question, the expected F1 is the F1 of the answer; sharper logits come near that too."""
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, wordpiece, SMALL))
    outputs = [
        (peak(len(row.input_ids), row.first), peak(len(row.input_ids), row.first))
        if len(row.offsets)
        else flat([row])[0]
        for row in rows
    ]
    one = replace(SMALL, n_best=1)
    wanted = [prediction.f1 for prediction in SQUAD.predict(dataset, rows, outputs, one)]
    assert wanted == SQUAD.expected_scores(dataset, rows, outputs, one)
    sharp = [(start * 100, end * 100) for start, end in outputs]
    several = [prediction.f1 for prediction in SQUAD.predict(dataset, rows, sharp, SMALL)]
    soft = SQUAD.expected_scores(dataset, rows, sharp, SMALL)
    for index, prediction in enumerate(several):
        windows = sum(row.question == index for row in rows)
        if windows == 1:
            assert soft[index] == pytest.approx(prediction, abs=1e-9)


def test_expected_scores_move_where_answers_do_not(dataset: Dataset, wordpiece: Tokenizer) -> None:
    """A logit that makes a wrong span likelier lowers the expected score though the answer stays right."""
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, wordpiece, SMALL))
    context = CONTEXTS[3]
    (row,) = [row for row in rows if row.question == 3]
    tokens = [context[begin:end] for begin, end in row.offsets]
    right, wrong = row.first + tokens.index("letter"), row.first + tokens.index("who")
    found = []
    for rival in (0.0, 8.0):
        outputs = flat(rows)
        for logits in outputs[rows.index(row)]:
            logits[right], logits[wrong] = 9.0, rival
        assert SQUAD.predict(dataset, rows, outputs, SMALL)[3].answer == "letter"
        found.append(SQUAD.expected_scores(dataset, rows, outputs, SMALL)[3])
    assert found[0] > found[1] + 0.05


def peak(length: int, at: int) -> NDArray[np.float32]:
    """Return logits with one high value."""
    logits = np.zeros(length, np.float32)
    logits[at] = 9.0
    return logits


@pytest.mark.parametrize("family", ["wordpiece", "byte_level"])
def test_the_answer_is_cut_from_the_original_text(request: pytest.FixtureRequest, family: str) -> None:
    """Capitals, accents and emoji stand in the answer as in the paragraph, without the spaces around it."""
    tokenizer: Tokenizer = request.getfixturevalue(family)
    context = "😀 “WHO  wrote” it in Köln"
    question = SquadQuestion(id="q", group="T", context=context, question="who", answers=("köln!", "Bonn"))
    dataset = Dataset(name="d", path=Path("d"), digest="0", source="0", task="squad", questions=(question,))
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, tokenizer, WindowSettings()))
    (row,) = rows
    begin, end = context.index("Köln"), len(context)
    starts = [index for index, (start, _) in enumerate(row.offsets.tolist()) if start == begin]
    ends = [index for index, (_, stop) in enumerate(row.offsets.tolist()) if stop == end]
    outputs = [tuple(peak(len(row.input_ids), row.first + index) for index in (starts[0], ends[-1]))]
    (prediction,) = SQUAD.predict(dataset, rows, outputs, WindowSettings())
    assert (
        prediction.answer,
        prediction.exact_match,
        prediction.f1,
        prediction.group,
    ) == ("Köln", 1.0, 1.0, "T")


def flat(rows: list[SquadWindow]) -> list[Logits]:
    """Return logits that say nothing."""
    return [
        (np.zeros(len(row.input_ids), np.float32), np.zeros(len(row.input_ids), np.float32)) for row in rows
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_a_logit_that_is_no_number_names_its_question(
    dataset: Dataset, wordpiece: Tokenizer, value: float, which: int
) -> None:
    """One NaN or infinite logit is an error with the question's id, never a wrong answer."""
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, wordpiece, SMALL))
    outputs = flat(rows)
    outputs[-1][which][2] = value
    with pytest.raises(
        EvaluationError, match=r"question q3: (start|end)_logits holds NaN or Infinity; check"
    ):
        SQUAD.predict(dataset, rows, outputs, SMALL)
    with pytest.raises(EvaluationError, match=r"question q3: (start|end)_logits holds NaN or Infinity"):
        SQUAD.expected_scores(dataset, rows, outputs, SMALL)


def test_missing_outputs_name_the_question(dataset: Dataset, wordpiece: Tokenizer) -> None:
    """Too few outputs, an empty one, one of another length, or too many are errors."""
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, wordpiece, SMALL))
    outputs = flat(rows)
    with pytest.raises(EvaluationError, match="question q3: the model gave no start_logits and end_logits"):
        SQUAD.predict(dataset, rows, outputs[:-1], SMALL)
    with pytest.raises(EvaluationError, match="question q3: the model gave no start_logits and end_logits"):
        SQUAD.predict(dataset, rows, [*outputs[:-1], ()], SMALL)
    short = (outputs[-1][0], outputs[-1][1][:-1])
    with pytest.raises(EvaluationError, match=r"question q3: end_logits has shape \[\d+\] for \d+ tokens"):
        SQUAD.predict(dataset, rows, [*outputs[:-1], short], SMALL)
    with pytest.raises(EvaluationError, match=r"outputs for .* windows; evaluate again"):
        SQUAD.predict(dataset, rows, [*outputs, outputs[0]], SMALL)


def test_a_question_without_windows_is_an_error(dataset: Dataset, wordpiece: Tokenizer) -> None:
    """Losing a question is an error that names it, never a score over fewer questions."""
    rows = cast(list[SquadWindow], SQUAD.cut(dataset, wordpiece, SMALL))
    kept = [row for row in rows if row.question != 1]
    with pytest.raises(EvaluationError, match="question q1 has no window"):
        SQUAD.predict(dataset, kept, flat(kept), SMALL)
