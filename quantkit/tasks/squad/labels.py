"""Where the answers of a file stand in the windows, to learn from.

Published files have answers whose starts are off, so starts are not read: every place where the text stands is right.
Where no answer is an answer (SQuAD 2.0), a window without one is answered by its first token, [CLS].
"""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from quantkit.tasks.squad.cutting import SquadWindow
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.task import Dataset, Right, Window

_NO_ANSWER: Right = ((0,), (0,))


def right(dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
    """Return for each window the first and the last tokens of the question's first answer, wherever it stands whole."""
    questions = cast(tuple[SquadQuestion, ...], dataset.questions)
    return [_places(window, questions[window.question]) for window in cast(Sequence[SquadWindow], windows)]


def _places(window: SquadWindow, question: SquadQuestion) -> Right:
    starts, ends = window.offsets[:, 0], window.offsets[:, 1]
    full = ends > starts
    found: list[tuple[int, int]] = []
    if not question.answers and not question.impossible:
        return (), ()
    if question.impossible:
        return _NO_ANSWER
    for begin, end in _occurrences(question.context, question.answers[0]):
        hits = np.flatnonzero(full & (ends > begin) & (starts < end))
        if len(hits) and starts[hits[0]] <= begin and ends[hits[-1]] >= end:
            found.append((window.first + int(hits[0]), window.first + int(hits[-1])))
    if not found and question.nullable:
        return _NO_ANSWER
    return tuple(first for first, _ in found), tuple(last for _, last in found)


def _occurrences(text: str, part: str) -> Iterator[tuple[int, int]]:
    """Yield begin and end of a text in another, in characters; an empty one is nowhere."""
    begin = text.find(part) if part else -1
    while begin >= 0:
        yield begin, begin + len(part)
        begin = text.find(part, begin + 1)
