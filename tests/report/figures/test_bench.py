"""A bench as bars: models side by side, and as long as their numbers."""

import pytest
from report_records import FOUR, bench_report

from quantkit.report.figures import bench_png
from quantkit.report.figures.bench import draw, models


def test_models() -> None:
    """An INT8 artifact stands with the FP32 one it was made from, in whatever order they were named."""
    assert [[one.name for one in group] for group in models(FOUR.results)] == [
        ["large", "large-int8"],
        ["small", "small-int8"],
    ]
    apart = [FOUR.results[index] for index in (0, 2, 3, 1)]
    assert [one.name for group in models(apart) for one in group] == [
        "large",
        "large-int8",
        "small",
        "small-int8",
    ]


def test_bars_are_the_numbers() -> None:
    """Every artifact has a bar as high as its throughput, a line over its rounds, and its name."""
    pytest.importorskip("matplotlib")
    axes = draw(FOUR).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [12.0, 18.0, 76.0, 116.0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [result.name for result in FOUR.results]
    rounds = [line.get_segments()[0][:, 1].tolist() for line in axes.collections]
    assert rounds == [[min(result.rates), max(result.rates)] for result in FOUR.results]


def test_same_bytes() -> None:
    """The same report gives the same PNG, also of one artifact alone."""
    pytest.importorskip("matplotlib")
    alone = bench_report(FOUR.results[0])
    assert bench_png(FOUR).startswith(b"\x89PNG")
    assert bench_png(FOUR) == bench_png(FOUR)
    assert bench_png(alone) == bench_png(alone) != bench_png(FOUR)
