"""Options: which are worth offering."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantkit.mixed_precision import options
from quantkit.mixed_precision.noise import Noise
from quantkit.mixed_precision.options import (
    BLOCKWISE,
    DYNAMIC,
    STATIC,
    Option,
    _offered,
    _request,
    _treated,
    worthwhile,
)
from quantkit.quantization.choice import FLOAT, Choice
from quantkit.quantization.grids import GRIDS
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.outliers import Outliers
from quantkit.quantization.treatments.smooth import Smooth
from quantkit.quantization.treatments.split import Split

ONES = np.ones(256, np.float32)


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


def offered(wide: int, outputs: tuple[int, ...], *, foldable: bool) -> list[Choice]:
    """Return the treated choices of layers that read 256 channels, so many of them 20 times as wide."""
    magnitude = np.ones(256, np.float32)
    magnitude[:wide] = 20
    seen = Statistics(low=-magnitude, high=magnitude, mean=np.zeros(256), square=np.ones(256), tokens=1000)
    layers = [
        SimpleNamespace(matrix=lambda width=width: np.ones((256, width), np.float32)) for width in outputs
    ]
    workbench = SimpleNamespace(
        members=lambda group: layers,
        treated=SimpleNamespace(statistics={"x": seen}),
        fitted=lambda choice: replace(choice, rounding="nearest"),
    )
    group: Any = SimpleNamespace(tensor="x", foldable=foldable)
    return list(_treated(group, workbench))


@pytest.mark.parametrize(
    ("wide", "expected"),
    [
        (0, []),
        (6, [(Outliers(8),), (Outliers(8), Smooth())]),
        (20, [(Outliers(32),), (Outliers(8), Smooth()), (Outliers(32), Smooth())]),
    ],
)
def test_outlier_channels_are_offered_where_they_pay(wide: int, expected: list[tuple[Any, ...]]) -> None:
    """Where nothing sticks out there are none; 8 where they do, and 32 where those leave much less noise."""
    found = offered(wide, (4,), foldable=True)
    assert [choice.treatments for choice in found] == expected
    assert {choice.rounding for choice in found} <= {"nearest"}


@pytest.mark.parametrize(
    ("wide", "foldable", "outputs", "copies"),
    [
        (2, False, (256, 8), True),
        (2, True, (256, 8), False),
        (2, False, (255,), False),
        (40, False, (256,), False),
    ],
    ids=["sticks out", "folded factors", "few outputs", "alike"],
)
def test_copies_are_offered_where_a_channel_sticks_out(
    wide: int, foldable: bool, outputs: tuple[int, ...], copies: bool
) -> None:
    """Where one or two hold the noise, smoothing has a Mul, and copying the tensor is little beside the product."""
    found = [choice for choice in offered(wide, outputs, foldable=foldable) if choice.has("split_channels")]
    assert [(Split(16), Smooth())] * copies == [choice.treatments for choice in found]
    assert {choice.rounding for choice in found} <= {"nearest"}


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize(
    ("grids", "expected"), [(("int8",), {"int8"}), (("int8-pairs", "uint8"), {"int8-pairs", "uint8"})]
)
def test_every_grid_of_the_target_is_offered(
    monkeypatch: pytest.MonkeyPatch, grids: tuple[str, ...], expected: set[str], pooled: bool
) -> None:
    """The smoothed static choice comes on every grid, after the usual one's, and each is measured on its own."""
    monkeypatch.setattr(options, "best_range", lambda _tensor, _members, choice, treated: choice)
    monkeypatch.setattr(options, "multiplies_integers", lambda _size, zero_points: False)
    seen = Statistics(low=-ONES, high=ONES, mean=np.zeros(256), square=np.ones(256), tokens=1000)
    usual = GRIDS[grids[0]]
    workbench: Any = SimpleNamespace(
        members=lambda group: [SimpleNamespace(matrix=lambda: np.ones((256, 8), np.float32))],
        treated=SimpleNamespace(statistics={"x": seen}),
        fitted=lambda choice, grid=usual: replace(choice, grid=grid),
        grids=[GRIDS[name] for name in grids],
    )
    group: Any = SimpleNamespace(tensor="x", foldable=True, pooled=pooled, inputs=256, outputs=(8,))
    found = [choice for choice in _offered(workbench, group) if choice.scheme == "static"]
    assert [choice.grid for choice in found] == [GRIDS[name] for name in grids]
    assert {_request(group, choice).grid for choice in found} == expected
    assert len({choice.label for choice in found}) == len(grids)
