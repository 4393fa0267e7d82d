"""Options: which are worth offering."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantkit.mixed_precision.noise import Noise
from quantkit.mixed_precision.options import (
    BLOCKWISE,
    DYNAMIC,
    STATIC,
    Option,
    _with_copies,
    _with_outliers,
    worthwhile,
)
from quantkit.quantization.choice import FLOAT, Choice
from quantkit.quantization.observe.evidence import Evidence
from quantkit.quantization.observe.statistics import Statistics


def option(choice: Choice, noise: float, cost_us: float) -> Option:
    return Option(choice=choice, noise=Noise(noise=noise, signal=1.0), cost_us=cost_us)


def test_of_equal_options_the_first_stays() -> None:
    """A dynamic choice that measures 1 % better than the static one before it is the same within the measurement."""
    static, dynamic = option(STATIC, 1.0, 100.0), option(DYNAMIC, 0.99, 99.0)
    assert (static,) == worthwhile([static, dynamic])


def test_a_trade_stays() -> None:
    """An option that costs more and makes less noise is what a search is for."""
    offered = [option(STATIC, 1.0, 100.0), option(BLOCKWISE[0], 0.1, 200.0), option(FLOAT, 0.0, 300.0)]
    assert tuple(offered) == worthwhile(offered)


def test_an_option_that_is_worse_in_both_goes() -> None:
    """Slower and noisier than one before it: nobody would take it."""
    static = option(STATIC, 1.0, 100.0)
    assert (static,) == worthwhile([static, option(BLOCKWISE[2], 2.0, 200.0)])


def sticking_out(wide: int) -> tuple[Any, Any]:
    """Return a layer that reads 256 channels, so many of them 20 times as wide, and a workbench that saw them."""
    magnitude = np.ones(256, np.float32)
    magnitude[:wide] = 20
    statistics = Statistics(
        low=-magnitude, high=magnitude, mean=np.zeros(256), square=np.ones(256), tokens=1000
    )
    layer = SimpleNamespace(matrix=lambda: np.ones((256, 4), np.float32))
    workbench = SimpleNamespace(evidence=Evidence(statistics={"x": statistics}), rounding="nearest")
    return layer, workbench


@pytest.mark.parametrize(
    ("wide", "offered"),
    [
        (0, []),
        (6, [(None, 8), ("auto", 8)]),
        (20, [(None, 32), ("auto", 8), ("auto", 32)]),
    ],
)
def test_outlier_channels_are_offered_where_they_pay(
    wide: int, offered: list[tuple[str | None, int]]
) -> None:
    """Where nothing sticks out there are none; 8 where they do, and 32 where those leave much less noise."""
    layer, workbench = sticking_out(wide)
    group = SimpleNamespace(tensor="x", inputs=256)
    found = list(_with_outliers(group, [layer], workbench))
    assert offered == [(choice.smooth, choice.outliers) for choice in found]
    assert {choice.rounding for choice in found} <= {"nearest"}


@pytest.mark.parametrize(
    ("wide", "foldable", "outputs", "offered"),
    [(2, False, (256, 8), [16]), (2, True, (256, 8), []), (2, False, (255,), []), (40, False, (256,), [])],
    ids=["sticks out", "folded factors", "few outputs", "alike"],
)
def test_copies_are_offered_where_a_channel_sticks_out(
    wide: int, foldable: bool, outputs: tuple[int, ...], offered: list[int]
) -> None:
    """Where one or two hold the noise, smoothing has a Mul, and copying the tensor is little beside the product."""
    layer, workbench = sticking_out(wide)
    group = SimpleNamespace(tensor="x", inputs=256, outputs=outputs, foldable=foldable)
    found = list(_with_copies(group, [layer], workbench))
    assert offered == [choice.split for choice in found]
    assert {(choice.smooth, choice.rounding) for choice in found} <= {("auto", "nearest")}
