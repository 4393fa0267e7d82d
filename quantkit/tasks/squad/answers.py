"""From start and end logits to answers: n-best spans, cut from the original paragraph.

Source: `run_squad.py` of google-research/bert. The `n_best` highest start and end positions of each window
(of all its tokens, so a high score on the question's own tokens uses up a place, as there) are paired; of the
pairs inside the paragraph, in order and not too long, the greatest sum over all windows of a question wins.
Ties go to the earlier window, then to the higher start.

Where a file has questions without an answer (SQuAD 2.0), no answer has a score too: the least sum, over the windows of
a question, of both logits of [CLS], as `run_squad.py` and transformers have it with `version_2_with_negative`. It wins
when it is above the best span's by more than `null_score_diff_threshold`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from quantkit.metrics.answers import exact_match, f1
from quantkit.metrics.answers_v2 import exact_match_v2, f1_v2
from quantkit.metrics.distributions import softmax
from quantkit.tasks.squad.cutting import SquadWindow
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.task import (
    Dataset,
    Outputs,
    Prediction,
    Window,
    WindowSettings,
    require_outputs,
    unanswered,
)

OUTPUTS = ("start_logits", "end_logits")
_AT_ONCE = 256  # windows scored together: pairs are [windows, n_best, n_best] in float64


def predict(
    dataset: Dataset, windows: Sequence[Window], outputs: Sequence[Outputs], settings: WindowSettings
) -> list[Prediction]:
    """Return one prediction per question. A question without any legal span gets the empty answer.

    So does one of SQuAD 2.0 of which no answer is more likely.

    Args:
        dataset: the questions.
        windows: as `cut` returned them.
        outputs: per window (start_logits, end_logits), each [tokens].
        settings: `n_best`, `max_answer_length` and `null_score_diff_threshold` count.

    Raises:
        EvaluationError: logits are missing, of another length, NaN or infinite; it names the question.
    """
    questions = _answered(dataset)
    found = []
    for question, best in zip(questions, candidates(dataset, windows, outputs, settings), strict=True):
        given = "" if best.above > settings.null_score_diff_threshold else best.answer
        found.append(_score(question, given))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """What a question may be answered with.

    Attributes:
        answer: the best span's text; empty when no span is legal.
        above: by how much no answer is above it, in logits; -inf where no answer is none.
    """

    answer: str
    above: float


def candidates(
    dataset: Dataset, windows: Sequence[Window], outputs: Sequence[Outputs], settings: WindowSettings
) -> list[Candidate]:
    """Return what each question may be answered with; takes and raises what `predict` does."""
    require_outputs(dataset, windows, outputs, OUTPUTS, per_token=True)
    rows = cast(Sequence[SquadWindow], windows)
    questions = cast(tuple[SquadQuestion, ...], dataset.questions)
    scores = [-np.inf] * len(questions)
    answers = [""] * len(questions)
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        best = _best_spans(part, outputs[start : start + _AT_ONCE], settings)
        for row, score, first, last in zip(part, *best, strict=True):
            if score > scores[row.question]:
                scores[row.question] = score
                begin, end = row.offsets[first, 0], row.offsets[last, 1]
                answers[row.question] = questions[row.question].context[begin:end]
    nulls = _null_scores(questions, rows, outputs)
    return [
        Candidate(answer=answer, above=-np.inf if null == -np.inf else null - score)
        for answer, score, null in zip(answers, scores, nulls, strict=True)
    ]


def expected_scores(
    dataset: Dataset, windows: Sequence[Window], outputs: Sequence[Outputs], settings: WindowSettings
) -> list[float]:
    """Return each question's expected F1, 0 to 1: over its `n_best` best spans, by the softmax of their scores.

    It moves with every change of the logits, where F1 moves only when the answer does.

    Raises:
        EvaluationError: as `predict`.
    """
    require_outputs(dataset, windows, outputs, OUTPUTS, per_token=True)
    rows = cast(Sequence[SquadWindow], windows)
    questions = _answered(dataset)
    spans: list[list[tuple[float, str]]] = [[] for _ in questions]
    for begin in range(0, len(rows), _AT_ONCE):
        part = rows[begin : begin + _AT_ONCE]
        starts, ends, sums = _spans(part, outputs[begin : begin + _AT_ONCE], settings)
        pairs = sums.reshape(len(part), -1)
        best = np.argsort(-pairs, axis=1, kind="stable")[:, : settings.n_best]
        for place, row in enumerate(part):
            context = questions[row.question].context
            for pair in best[place]:
                if pairs[place, pair] > -np.inf:
                    first, last = np.divmod(pair, sums.shape[2])
                    left = row.offsets[starts[place, first], 0]
                    right = row.offsets[ends[place, last], 1]
                    spans[row.question].append((float(pairs[place, pair]), context[left:right]))
    nulls = _null_scores(questions, rows, outputs)
    return [
        _expected(question, found, null - settings.null_score_diff_threshold, settings.n_best)
        for question, found, null in zip(questions, spans, nulls, strict=True)
    ]


def _answered(dataset: Dataset) -> tuple[SquadQuestion, ...]:
    questions = cast(tuple[SquadQuestion, ...], dataset.questions)
    for question in questions:
        if not question.answers and not question.impossible:
            raise unanswered(dataset, question, "answers")
    return questions


def _null_scores(
    questions: Sequence[SquadQuestion], windows: Sequence[SquadWindow], outputs: Sequence[Outputs]
) -> list[float]:
    """Return the score of no answer for each question: -inf where that is no answer."""
    least = [np.inf if question.nullable else -np.inf for question in questions]
    for row, (starts, ends) in zip(windows, outputs, strict=True):
        least[row.question] = min(least[row.question], float(starts[0]) + float(ends[0]))
    return least


def _expected(question: SquadQuestion, spans: list[tuple[float, str]], null: float, n_best: int) -> float:
    """Return the mean F1 of the best spans and, where that is an answer, of none, by the softmax of their scores."""
    best = sorted(spans, key=lambda span: -span[0])[:n_best]
    if null > -np.inf:
        best.append((null, ""))
    if not best:
        return _f1(question, "")
    shares = softmax(np.array([score for score, _ in best]))
    return float(shares @ [_f1(question, answer) for _, answer in best])


def _f1(question: SquadQuestion, answer: str) -> float:
    return (f1_v2 if question.nullable else f1)(answer, question.answers)


def _score(question: SquadQuestion, answer: str) -> Prediction:
    exact = exact_match_v2 if question.nullable else exact_match
    return Prediction(
        id=question.id,
        group=question.group,
        answer=answer,
        exact_match=exact(answer, question.answers),
        f1=_f1(question, answer),
    )


def _best_spans(
    windows: Sequence[SquadWindow], outputs: Sequence[Outputs], settings: WindowSettings
) -> tuple[list[float], list[int], list[int]]:
    """Return (score, first, last) of each window's best span, in its stretch; -inf without one."""
    starts, ends, sums = _spans(windows, outputs, settings)
    pairs = sums.reshape(len(windows), -1)
    best = pairs.argmax(axis=1)
    row = np.arange(len(windows))
    start_rank, end_rank = np.divmod(best, sums.shape[2])
    return (
        pairs[row, best].tolist(),
        starts[row, start_rank].tolist(),
        ends[row, end_rank].tolist(),
    )


def _spans(
    windows: Sequence[SquadWindow], outputs: Sequence[Outputs], settings: WindowSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return starts and ends in the stretch, [windows, n_best] each, and the scores of all pairs; -inf: not legal."""
    starts, start_logits = _highest([output[0] for output in outputs], settings.n_best)
    ends, end_logits = _highest([output[1] for output in outputs], settings.n_best)
    stretch = np.array([(row.first, len(row.offsets), *row.widest) for row in windows])
    first, length, widest, widest_length = stretch.T[:, :, None]
    starts, ends = starts - first, ends - first
    start_legal = (starts >= widest) & (starts < widest + widest_length)
    end_legal = (ends >= 0) & (ends < length)
    tokens = ends[:, None, :] - starts[:, :, None] + 1
    legal = (tokens >= 1) & (tokens <= settings.max_answer_length)
    legal &= start_legal[:, :, None] & end_legal[:, None, :]
    return starts, ends, np.where(legal, start_logits[:, :, None] + end_logits[:, None, :], -np.inf)


def _highest(logits: Sequence[NDArray[Any]], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return (positions, logits), [rows, up to count], highest first, equal logits by position."""
    padded = np.full((len(logits), max(len(row) for row in logits)), -np.inf, np.float64)
    for index, row in enumerate(logits):
        padded[index, : len(row)] = row
    positions = np.argsort(-padded, axis=1, kind="stable")[:, :count]
    return positions, np.take_along_axis(padded, positions, axis=1)
