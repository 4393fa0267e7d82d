"""Finalists: the candidates that the result is between, timed once more, all of them and the INT8 teacher in turns.

Candidates are timed minutes apart, each beside the teacher alone. Which of two is faster, and whether one of them keeps
a limit that it is close to, is better seen where they run side by side.
"""

from collections.abc import Sequence

from quantkit.records.shapes import UNIFORM
from quantkit.shapes.candidate import Candidate

_NEAR = 0.05
"""By what share a cost may be off that was measured at another time."""
_MOST = 4


def finalists(
    candidates: Sequence[Candidate], chosen: Candidate, *, most: float, ratio: float | None
) -> list[Candidate]:
    """Return the candidates on the front or near it that could be chosen, the best so far first, and the uniform one.

    Args:
        candidates: all that were measured.
        chosen: the best so far.
        most: the cost that is allowed; infinite without a limit.
        ratio: of the expected score that is to be kept; None without.

    Returns:
        At most four, and the uniform one; nothing where there is no second one to compare with.
    """
    # Where none keeps the limit, others that miss it by little more may miss it less.
    allowed = (1 + _NEAR) * max(most, chosen.cost)
    could = [one for one in candidates if one is not chosen and one.cost <= allowed]
    near = [
        one
        for one in could
        if not any(
            (1 + _NEAR) * other.cost < one.cost
            and other.judged.marks.divergence < one.judged.marks.divergence
            for other in candidates
        )
    ]

    def rank(one: Candidate) -> tuple[bool, float]:
        marks = one.judged.marks
        fails = ratio is not None and marks.expected_ratio < ratio
        return fails, one.cost if ratio is not None and most == float("inf") else marks.divergence

    found = [chosen, *sorted(near, key=rank)][:_MOST]
    found += [one for one in candidates if one.origin == UNIFORM and one not in found]
    return found if len(found) > 1 else []
