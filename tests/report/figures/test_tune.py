"""What tune tried, as a heat map."""

import pytest
from report_records import TRIALS, tune_report

from quantkit.report.figures import tune_png
from quantkit.report.figures.tune import draw


def test_cells_are_the_numbers() -> None:
    """Each runtime has a map with a number in every cell that was tried; the chosen one alone has a frame."""
    pytest.importorskip("matplotlib")
    report = tune_report(*TRIALS)
    first, second = draw(report).axes
    for axes, runtime in ((first, "onnxruntime"), (second, "openvino")):
        ratios = [trial.ratio for trial in TRIALS if trial.profile["runtime"] == runtime]
        assert [text.get_text() for text in axes.texts] == [f"{ratio:.2f}" for ratio in ratios]
    assert [len(axes.patches) for axes in (first, second)] == [1, 0]
    # 2 x 1 is the first row, 512 tokens the second column.
    assert first.patches[0].get_xy() == (1, 0)


def test_same_bytes() -> None:
    """The same report gives the same PNG, also of one cell."""
    pytest.importorskip("matplotlib")
    assert tune_png(tune_report(*TRIALS)).startswith(b"\x89PNG")
    assert tune_png(tune_report(*TRIALS)) == tune_png(tune_report(*TRIALS))
    assert tune_png(tune_report(*TRIALS[:1], sure=False)).startswith(b"\x89PNG")
