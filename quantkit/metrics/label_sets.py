"""F1 of sets of labels: of one text's, and over many texts micro, macro and per label.

Counts are true positives, false positives and false negatives. F1 is 2 tp / (2 tp + fp + fn). Where all three are 0
nothing was to be found and nothing was: 1 for one text's set, and for a label of a whole dataset 0, as scikit-learn has
it (`zero_division=0`), so that a label that never occurs does not lift the macro mean.
"""

from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
COUNTS = 3  # tp, fp, fn


def set_f1(given: AbstractSet[int], right: AbstractSet[int]) -> float:
    """Return the F1 of one text's labels, 0 to 1; both empty: 1."""
    if not given and not right:
        return 1.0
    return 2 * len(given & right) / (len(given) + len(right))


def counts(given: AbstractSet[int], right: AbstractSet[int], labels: int) -> tuple[float, ...]:
    """Return tp, fp and fn of each label of one text, float [3 · labels]."""
    return tuple(
        float(flag)
        for label in range(labels)
        for flag in (
            label in given and label in right,
            label in given and label not in right,
            label in right and label not in given,
        )
    )


def label_f1(totals: Floats) -> Floats:
    """Return the F1 of each label.

    Args:
        totals: float64 [..., 3 · labels], sums of `counts` over texts.

    Returns:
        float64 [..., labels].
    """
    each = totals.reshape(*totals.shape[:-1], -1, COUNTS)
    return _f1(each)


def micro_f1(totals: Floats) -> Floats:
    """Return the F1 of all labels' counts together; takes what `label_f1` takes, and returns float64 [...]."""
    return _f1(totals.reshape(*totals.shape[:-1], -1, COUNTS).sum(axis=-2))


def macro_f1(totals: Floats) -> Floats:
    """Return the mean of the labels' F1; takes what `label_f1` takes, and returns float64 [...]."""
    result: Floats = label_f1(totals).mean(axis=-1)
    return result


def _f1(each: Floats) -> Floats:
    twice = 2 * each[..., 0]
    whole = twice + each[..., 1] + each[..., 2]
    result: Floats = np.where(whole > 0, twice / np.where(whole > 0, whole, 1.0), 0.0)
    return result


def expected_set_f1(chances: Floats, right: AbstractSet[int]) -> float:
    """Return the mean F1 of a text's labels when each is given by its own chance; exact, and smooth in every chance.

    Args:
        chances: float64 [labels], 0 to 1.
        right: indices of the right labels.
    """
    wanted = np.array([label in right for label in range(len(chances))], dtype=bool)
    found, others = _count_chances(chances[wanted]), _count_chances(chances[~wanted])
    if not right:
        return float(others[0])
    hits, misses = np.arange(len(found))[:, None], np.arange(len(others))[None, :]
    return float(np.sum(np.outer(found, others) * 2 * hits / (hits + misses + len(right))))


def _count_chances(chances: Floats) -> Floats:
    """Return the chance of each number of successes of independent tries, float64 [tries + 1]."""
    counted = np.ones(1)
    for chance in chances:
        counted = np.convolve(counted, [1 - chance, chance])
    return counted
