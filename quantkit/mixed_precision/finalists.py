"""Finalists: the candidates that the result is between, timed once more, all of them and FP32 in turns.

Candidates are timed minutes apart, and a machine changes its speed meanwhile: the one of the fastest options may then
seem slower than others. So what decides, and what is read first, is measured in one run.
"""

from collections.abc import Sequence

from quantkit.records import CandidateRecord


def finalists(records: Sequence[CandidateRecord], best: int) -> tuple[int, ...]:
    """Return the numbers of the finalists, the best so far first; that one alone where there is no other.

    The others: of those that passed the one that seemed fastest, the one of the fastest options, and the one that
    seemed fastest of all.
    """
    rivals = [found for found in records if found.passed and found.number != best]
    chosen = [best]
    if rivals:
        chosen.append(max(rivals, key=lambda found: found.throughput).number)
    chosen.append(min(records, key=lambda found: found.predicted_cost_us).number)
    chosen.append(max(records, key=lambda found: found.throughput).number)
    return tuple(dict.fromkeys(chosen))


def elected(records: Sequence[CandidateRecord], best: int, *, slack: float) -> int:
    """Return the number of the result, by what the finalists showed when they were timed together.

    Of those that passed, and are slower than the fastest of these by no more than the slack, or by no more than can be
    told, the one that diverges least. `best` stays where it did not pass itself.

    Args:
        records: the finalists.
        best: the number of the best by prediction.
        slack: share of the cost that may be added for less damage.
    """
    passed = [found for found in records if found.passed]
    if best not in {found.number for found in passed}:
        return best
    fastest = max(passed, key=lambda found: found.throughput)
    near = [
        found
        for found in passed
        if found.throughput * (1 + slack) >= fastest.throughput
        or found.throughput_spread[1] >= fastest.throughput_spread[0]
    ]
    return min(near, key=lambda found: (found.divergence, found.number != best)).number
