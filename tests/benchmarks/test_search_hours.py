"""The hours of a larger search, from invented times of a smaller one."""

import sys
from pathlib import Path
from typing import Any

import pytest
from scripts import load_script

from quantkit.architectures import EncoderShape, LayerShape
from quantkit.records.shapes import TrialTimes

script = load_script("benchmarks/search_hours.py")
SMALL = EncoderShape(layers=(LayerShape(hidden=32, heads=4, head_size=8, feed_forward=64),) * 2)
LARGE = EncoderShape(layers=(LayerShape(hidden=64, heads=8, head_size=8, feed_forward=128),) * 4)


def test_twice_as_wide_and_twice_as_deep() -> None:
    """A forward pass is 2 x 2² as much, solving for all blocks 2 x 2³; there are more options to measure."""
    growth = script.growth_of(SMALL, LARGE, forward=None, step=32)
    assert (growth.forward, growth.solving) == (8.0, 16.0)
    assert (growth.attention, growth.feed_forward) == (8.0, 8.0)
    # 4 heads and 64, 32, 0 neurons; 8 heads and 128, 96, 64, 32, 0: those that are whole are no trials.
    assert growth.options == (4 * (8 + 4)) / (2 * (4 + 2))


def test_what_was_measured_counts() -> None:
    """A measured factor of the forward pass is believed."""
    assert script.growth_of(SMALL, LARGE, forward=5.0, step=32).forward == 5.0


def test_parts_grow_each_in_its_way(shape_search: Any) -> None:
    """Damage in number and length, order in number by the cubes, candidates by solving, the rest by forward passes."""
    growth = script.Growth(forward=2.0, solving=10.0, attention=3.0, feed_forward=4.0, options=1.5)
    report = shape_search.model_copy(
        update={
            "trials": (
                TrialTimes(part="moments", seconds=(7.0,)),
                TrialTimes(part="order", seconds=(1.0, 2.0) * 3),
                TrialTimes(part="damage", seconds=(1.0, 3.0)),
                TrialTimes(part="candidates 1", seconds=(5.0, 6.0)),
            )
        }
    )
    found = {part.part: part.seconds for part in script.scaled(report, growth, layers=2.0)}
    assert found == {
        "moments": (14.0,),
        "order": (3.0, 8.0) * 6,
        "damage": (2.0, 6.0, 2.0),
        "candidates 1": (50.0, 60.0),
    }


def test_a_report_without_times(
    shape_search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what to do; with them there is a row for each number of machines."""
    path = tmp_path / "search.json"
    for trials, code in (((), 2), ((TrialTimes(part="damage", seconds=(3600.0,) * 8),), 0)):
        report = shape_search.model_copy(update={"trials": trials})
        path.write_text(report.model_dump_json(by_alias=True))
        monkeypatch.setattr(sys, "argv", ["search_hours.py", str(path), "--hidden", "768"])
        assert script.main() == code
    said = capsys.readouterr()
    assert said.err.endswith("holds no times of trials; search again with this version\n")
    assert "| 1 | 8.00 h |" in said.out
    assert "| 8 | 1.00 h |" in said.out
