"""A metric of the user's own: what a function gives for a model's answers, and what keeps a wrong one from passing.

The function is called three times on the same right answers: with the model's answers, with the right answers
themselves, and with right answers that belong to other rows. The second says which scale it has (1 or 100 for right
answers) and that higher is better; the third is chance, which the gate's baseline must be above.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from quantkit.errors import EvaluationError
from quantkit.metrics.metric import Chance, Floats, Mean

Function = Callable[[list[Any], list[Any]], Any]
"""`f(predictions, references)`: a number, or one for each row."""
_SHARE = 1.0
_PERCENT = 100.0
_ROUNDED = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnMean(Mean):
    """The mean of what an own function gives each row, or the one number that it gives for all.

    Attributes:
        guess: what it gives for right answers of other rows.
    """

    guess: Chance | None = None

    def chance(self, measures: Floats, labels: int) -> Chance:
        """Return the guess, whatever labels there are."""
        del measures, labels
        return self.guess or Chance(percent=0.0, words="no chance known")


def own_mean(name: str, *, chance: float, by_row: bool) -> OwnMean:
    """Return the metric that an evaluation by an own function rests on.

    Args:
        name: the function's.
        chance: in percent.
        by_row: it gave a number for each row; else a row counts as changed when its answer is another one.
    """
    changed: Literal["score", "answer"] = "score" if by_row else "answer"
    guess = Chance(percent=chance, words="for right answers of other rows")
    return OwnMean(name=name, guess=guess, changed=changed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What an own function is given, row by row.

    Attributes:
        predictions: the model's answers.
        references: the right ones.
        right: the right ones as a model would answer them.
    """

    predictions: Sequence[Any]
    references: Sequence[Any]
    right: Sequence[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnScores:
    """What an own function gave.

    Attributes:
        rows: of each row, 0 to 1; where the function gave one number for all, that number for each.
        by_row: it gave a number for each row.
        chance: in percent, for right answers of other rows.
    """

    rows: tuple[float, ...]
    by_row: bool
    chance: float


def own_scores(function: Function, answers: Answers, *, name: str) -> OwnScores:
    """Score answers by an own function.

    Args:
        function: the user's.
        answers: at least one row.
        name: what to call the function in errors.

    Raises:
        EvaluationError: it raised, gave no finite number of 0 to 100 or another count than rows, or gives the right
            answers less than the model's, so that lower would be better.
    """
    count = len(answers.references)
    order = np.random.default_rng(0).permutation(count)
    best, found, guessed = (
        _called(function, given, answers.references, name)
        for given in (answers.right, answers.predictions, [answers.right[at] for at in order])
    )
    whole = _SHARE if max(best) <= _SHARE + _ROUNDED else _PERCENT
    for gave in (best, found, guessed):
        outside = [value for value in gave if not -_ROUNDED <= value <= whole * (1 + _ROUNDED)]
        if outside:
            raise EvaluationError(
                f"{name}: gave {outside[0]:g}, and for the right answers {max(best):g}; a metric is from 0 to 1, "
                "or from 0 to 100"
            )
    if _mean(found) > _mean(best) + whole * _ROUNDED:
        raise EvaluationError(
            f"{name}: gave the model {_mean(found):g} and the right answers {_mean(best):g}; higher must be better, "
            "so return 1 less an error"
        )
    rows = [min(max(value / whole, 0.0), 1.0) for value in found]
    by_row = len(found) == count and count > 1
    return OwnScores(
        rows=tuple(rows if by_row else rows * count),
        by_row=by_row,
        chance=min(max(100 * _mean(guessed) / whole, 0.0), 100.0),
    )


def _called(
    function: Function, predictions: Sequence[Any], references: Sequence[Any], name: str
) -> list[float]:
    """Return what the function gives: one number, or one for each row.

    Raises:
        EvaluationError: it raised, or gave something else.
    """
    try:
        gave = function(list(predictions), list(references))
        array = np.asarray(gave, dtype=np.float64)
    except (Exception, SystemExit) as error:
        said = str(error).splitlines() or [""]
        raise EvaluationError(f"{name}: raised {type(error).__name__}: {said[0]}; mend it") from error
    if array.ndim > 1 or (array.ndim == 1 and len(array) != len(references)):
        raise EvaluationError(
            f"{name}: gave numbers of shape {list(array.shape)} for {len(references)} rows; return a number, or a list "
            "of one for each row"
        )
    if not np.isfinite(array).all():
        raise EvaluationError(f"{name}: gave NaN or Infinity; return finite numbers")
    numbers: list[float] = array.reshape(-1).tolist()
    return numbers


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
