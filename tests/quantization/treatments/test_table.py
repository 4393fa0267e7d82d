"""The table of treatments: whatever stands in it keeps the product, and says what layers see of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantkit.quantization.choice import Choice, Treatment, View
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments import TREATMENTS, Outliers, Smooth, Split, in_order
from quantkit.recipe.settings import LayerScheme, QuantizeSettings

CHANNELS = 24
VALUES: dict[type[Treatment], Any] = {Split: 5, Outliers: 3, Smooth: 0.5}


def tokens() -> np.ndarray:
    """Return float32 noise in which two channels are 20 times as large."""
    values = np.random.default_rng(0).normal(size=(300, CHANNELS)).astype(np.float32)
    values[:, [4, 9]] *= 20
    return values


@pytest.mark.parametrize("kind", TREATMENTS)
def test_the_product_stays(kind: type[Treatment], statistics_of: Callable[[np.ndarray], Statistics]) -> None:
    """What is multiplied in integers, and what is computed beside it, sum to x W but for the last bits of float32."""
    values, matrix = tokens(), np.random.default_rng(1).normal(size=(CHANNELS, 6)).astype(np.float32)
    treatment = kind.asked(VALUES[kind])
    view = View(seen=statistics_of(values), matrices=[matrix], apart=np.zeros(0, np.int64))
    choice = Choice(scheme="static", treatments=(treatment,))
    for decision in (treatment.decide(view, choice), treatment.example(CHANNELS)):
        assert decision is not None
        found = decision.values(values) @ decision.matrix(matrix)
        beside = decision.product(values, matrix)
        found = found if beside is None else found + beside
        expected = values @ matrix
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("kind", TREATMENTS)
def test_statistics_are_those_of_the_values(
    kind: type[Treatment], statistics_of: Callable[[np.ndarray], Statistics]
) -> None:
    """Statistics of the treated tensor follow from those of the tensor, up to the order of sums."""
    decision = kind.asked(VALUES[kind]).example(CHANNELS)
    found = decision.statistics(statistics_of(tokens()))
    expected = statistics_of(decision.values(tokens()))
    for name in ("low", "high", "mean", "square", "moment", "sample"):
        observed = getattr(found, name)
        largest = np.abs(getattr(expected, name)).max()
        np.testing.assert_allclose(observed, getattr(expected, name), rtol=1e-5, atol=1e-6 * largest)


@pytest.mark.parametrize("kind", TREATMENTS)
def test_settings_ask_for_it(kind: type[Treatment]) -> None:
    """Its setting stands in the section and in entries of `schemes`, and its value there asks for it again."""
    treatment = kind.asked(VALUES[kind])
    assert kind.setting in QuantizeSettings.model_fields
    assert kind.setting in LayerScheme.model_fields
    entry = LayerScheme.model_validate({"pattern": "query", kind.setting: treatment.value})
    assert treatment == kind.asked(getattr(entry, kind.setting))


def test_the_order_is_that_of_the_table() -> None:
    """Channels are copied before some are taken apart, and smoothed last; labels begin at the integers."""
    done = in_order((Smooth(), Outliers(8), Split(16)))
    assert (Split(16), Outliers(8), Smooth()) == done
    assert Choice(scheme="static", treatments=done).label == "static smooth outliers 8 split 16"
