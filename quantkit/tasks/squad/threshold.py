"""Which threshold of no answer would have scored best (SQuAD 2.0), as `find_best_thresh` of the official script.

On the questions that a gate asks it flatters: it is for choosing on other ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from quantkit.metrics.answers_v2 import f1_v2
from quantkit.tasks.squad.answers import Candidate, candidates
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.task import Dataset, Outputs, Window, WindowSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class BestThreshold:
    """The threshold of the greatest F1, and that F1 in percent."""

    threshold: float
    f1: float


def best_threshold(
    dataset: Dataset, windows: Sequence[Window], outputs: Sequence[Outputs], settings: WindowSettings
) -> BestThreshold | None:
    """Return the best threshold for a dataset; None where no answer is none.

    Takes and raises what `Task.predict` does.
    """
    questions = [
        question
        for question in dataset.questions
        if isinstance(question, SquadQuestion) and question.nullable
    ]
    if len(questions) < len(dataset.questions):
        return None
    return _best(questions, candidates(dataset, windows, outputs, settings))


def _best(questions: Sequence[SquadQuestion], found: Sequence[Candidate]) -> BestThreshold:
    """Raise the threshold from below all: one question after the other is answered; half way to the next is best."""
    above = np.array([one.above for one in found])
    gains = np.array(
        [
            f1_v2(one.answer, question.answers) - f1_v2("", question.answers)
            for question, one in zip(questions, found, strict=True)
        ]
    )
    finite = np.isfinite(above)
    places = np.unique(above[finite])
    steps = [float(gains[above == place].sum()) for place in places]
    sums = np.concatenate([[0.0], np.cumsum(steps)])
    best = int(sums.argmax())
    nothing = sum(f1_v2("", question.answers) for question in questions)
    return BestThreshold(
        threshold=_between(cast(list[float], places.tolist()), best),
        f1=100 * (nothing + float(sums[best])) / len(questions),
    )


def _between(places: Sequence[float], count: int) -> float:
    """Return a threshold that is at or above the first `count` places, and below the others."""
    if not places:
        return 0.0
    if count == 0:
        return places[0] - 1
    return places[-1] if count == len(places) else (places[count - 1] + places[count]) / 2
