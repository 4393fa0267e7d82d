"""Damage per group: the same bytes for the same report, bars or a map, whatever the numbers."""

import pytest

from quantkit.records import Sensitivity
from quantkit.report.figures import sensitivity_png
from quantkit.report.figures.sensitivity import MAX_BARS, draw

PNG = b"\x89PNG\r\n\x1a\n"


def with_groups(report: Sensitivity, *changes: dict) -> Sensitivity:
    """Return the report with its groups changed, one dictionary each."""
    groups = [found.model_copy(update=new) for found, new in zip(report.groups, changes, strict=True)]
    return report.model_copy(update={"groups": tuple(groups)})


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize(("layers", "wide"), [(1, False), (6, False), (6, True), (24, True)])
def test_same_bytes(make_sensitivity, layers: int, wide: bool) -> None:
    """Few groups and many, on a linear and on a logarithmic scale."""
    report = make_sensitivity(layers, wide=wide)
    assert sensitivity_png(report)[:8] == PNG
    assert sensitivity_png(report) == sensitivity_png(report)


@pytest.mark.usefixtures("matplotlib")
def test_nothing_but_zeros_is_drawn(make_sensitivity) -> None:
    """A lossless scheme has no damage anywhere: bars of no length, and a map of zeros."""
    nothing = {"damage": 0.0, "changed": 0.0}
    for axes in draw(with_groups(make_sensitivity(2), *[nothing] * 9)).axes:
        assert [bar.get_width() for bar in axes.patches] == [0.0] * 9
        assert axes.get_xlim()[1] > 0
    for axes in draw(with_groups(make_sensitivity(24), *[nothing] * 97)).axes:
        assert [text.get_text() for text in axes.texts] == ["0"] * 96


@pytest.mark.usefixtures("matplotlib")
def test_a_map_has_every_group(make_sensitivity) -> None:
    """Of many groups a cell each, with its number in both maps, and the head below."""
    report = make_sensitivity(24)
    figure = draw(report)
    assert [len(axes.texts) for axes in figure.axes] == [96, 96]
    assert figure.axes[1].texts[5].get_text() == f"{100 * report.groups[5].changed:.2f}"[:4].rstrip(".")
    assert "qa_outputs" in figure.get_supxlabel()


@pytest.mark.usefixtures("matplotlib")
def test_many_groups_that_make_no_map_are_bars(make_sensitivity) -> None:
    """Groups without layer numbers have no place in a map of layers: each has its bar, as long as its damage."""
    report = make_sensitivity(12)
    plain = with_groups(report, *({"group": f"g{number}"} for number in range(len(report.groups))))
    assert len(plain.groups) > MAX_BARS
    left, right = draw(plain).axes
    assert [bar.get_width() for bar in left.patches] == [group.damage for group in plain.groups]
    assert [bar.get_width() for bar in right.patches] == [100 * group.changed for group in plain.groups]
