"""How far a model's distributions are from another's, and what score it may expect of its own."""

import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quantkit.metrics.embeddings import cosine

Logits = Sequence[NDArray[Any]]

Outcome = Literal["choice", "flags", "number", "direction"]
"""What the numbers of an output are.

* choice: logits of one distribution, of the start over tokens or of the label over classes;
* flags: each is the logit of a yes or no of its own;
* number: each is a number as it is, on whatever scale the model was trained for;
* direction: together they are a vector, an embedding, of which only the direction counts.
"""


def divergence(reference: Sequence[Logits], found: Sequence[Logits], outcome: Outcome = "choice") -> float:
    """Return the mean Kullback-Leibler divergence from `reference` over rows and outputs, in nats.

    Logits [tokens, labels] are a distribution for each token, and count as their mean. Flags: of each label's two
    outcomes, a mean over the labels. Numbers: of normal distributions around the two models' numbers, as wide as the
    reference's numbers are spread over the rows, so that the scale does not matter; numbers that are the same in all
    rows are told apart by nothing, and count as spread by 1. Directions: 1 - cosine, no nats.

    Args:
        reference: for each row its outputs, one-dimensional or [tokens, labels].
        found: the same rows and outputs of another model.
        outcome: what the outputs are.
    """
    pairs = [
        (wanted, other)
        for wanted_row, other_row in zip(reference, found, strict=True)
        for wanted, other in zip(wanted_row, other_row, strict=True)
    ]
    if outcome == "number":
        return _of_numbers(pairs)
    apart = _APART[outcome]
    each = [apart(wanted, other) for wanted, other in pairs]
    # Never negative but for rounding.
    return max(0.0, math.fsum(each) / len(each))


def ratio_bound(
    reference: Sequence[float], found: Sequence[float], *, confidence: float
) -> tuple[float, float]:
    """Return the ratio of two sums over the same examples, and its one-sided lower confidence bound.

    By the delta method: the ratio's standard error is that of the mean of found - ratio · reference, over the mean of
    the reference (Cochran 1977, "Sampling Techniques", section 6.4). Examples count as independent.

    Raises:
        ValueError: the reference sums to nothing.
    """
    base = math.fsum(reference)
    if base <= 0:
        raise ValueError("the reference score is 0")
    ratio = math.fsum(found) / base
    if len(reference) < 2:
        return ratio, -math.inf
    residuals = [other - ratio * wanted for wanted, other in zip(reference, found, strict=True)]
    error = statistics.stdev(residuals) / math.sqrt(len(residuals)) / (base / len(residuals))
    return ratio, ratio - statistics.NormalDist().inv_cdf(confidence) * error


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probabilities of one-dimensional logits, float64."""
    powers = np.exp(logits.astype(np.float64) - np.max(logits))
    result: NDArray[np.float64] = powers / powers.sum()
    return result


def _divergence(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    one, other = _log_softmax(wanted), _log_softmax(found)
    return float(np.sum(np.exp(one) * (one - other))) / (len(wanted) if wanted.ndim == 2 else 1)


def _log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    if logits.ndim == 2:
        moved = logits.astype(np.float64) - np.max(logits, axis=1, keepdims=True)
        each: NDArray[np.float64] = moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))
        return each
    shifted = logits.astype(np.float64) - np.max(logits)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result


def _of_flags(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    yes, no = (_log_sigmoid(sign * wanted.astype(np.float64)) for sign in (1, -1))
    other_yes, other_no = (_log_sigmoid(sign * found.astype(np.float64)) for sign in (1, -1))
    return float(np.mean(np.exp(yes) * (yes - other_yes) + np.exp(no) * (no - other_no)))


def _of_numbers(pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> float:
    wanted, found = (np.concatenate([pair[side] for pair in pairs]).astype(np.float64) for side in (0, 1))
    variance = float(wanted.var())
    return float(np.mean((wanted - found) ** 2)) / (2 * variance if variance > 0 else 2.0)


def _log_sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = -np.logaddexp(0.0, -logits)
    return result


def _of_directions(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    return 1.0 - cosine(wanted, found)


_APART = {"choice": _divergence, "flags": _of_flags, "direction": _of_directions}
