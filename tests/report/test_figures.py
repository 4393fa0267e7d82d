"""Figures: the same bytes for the same report, whatever the numbers, and an honest word without matplotlib."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.errors import UsageError
from quantkit.records import GroupSensitivity
from quantkit.report import figures
from quantkit.report.drawing import THEME
from quantkit.report.groups import Place, is_grid, places
from quantkit.report.pareto_figure import frontier
from quantkit.report.sensitivity_figure import MAX_BARS

PNG = b"\x89PNG\r\n\x1a\n"
LAYER = "bert.encoder.layer"


@pytest.fixture
def matplotlib() -> None:
    pytest.importorskip("matplotlib")


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize("options", [{}, {"met": False, "outlier": True, "task": "text-classification"}])
def test_pareto_is_the_same_bytes(make_search, tmp_path: Path, options: dict) -> None:
    """A figure depends on the report alone: no dates, and no style of the user's."""
    import matplotlib as mpl

    report = make_search(**options)
    (tmp_path / "a.png").write_bytes(figures.pareto_png(report))
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30}):
        (tmp_path / "b.png").write_bytes(figures.pareto_png(report))
    first = (tmp_path / "a.png").read_bytes()
    assert PNG == first[:8]
    assert first == (tmp_path / "b.png").read_bytes()


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize(("layers", "wide"), [(1, False), (6, False), (6, True), (24, True)])
def test_sensitivity_is_the_same_bytes(make_sensitivity, tmp_path: Path, layers: int, wide: bool) -> None:
    """Few groups and many, on a linear and on a logarithmic scale."""
    report = make_sensitivity(layers, wide=wide)
    for name in ("a.png", "b.png"):
        figures.sensitivity(report, tmp_path / name)
    first = (tmp_path / "a.png").read_bytes()
    assert PNG == first[:8]
    assert first == (tmp_path / "b.png").read_bytes()


@pytest.mark.usefixtures("matplotlib")
def test_nothing_but_zeros_is_drawn(make_sensitivity, tmp_path: Path) -> None:
    """A lossless scheme has no damage anywhere; scales cope with it."""
    for layers in (2, 24):
        report = make_sensitivity(layers)
        flat = [found.model_copy(update={"damage": 0.0, "changed": 0.0}) for found in report.groups]
        figures.sensitivity(report.model_copy(update={"groups": tuple(flat)}), tmp_path / "a.png")


@pytest.mark.usefixtures("matplotlib")
def test_many_groups_that_make_no_map_are_bars(make_sensitivity, tmp_path: Path) -> None:
    """Groups without layer numbers have no place in a map of layers."""
    report = make_sensitivity(12)
    plain = [found.model_copy(update={"group": f"g{number}"}) for number, found in enumerate(report.groups)]
    assert len(plain) > MAX_BARS
    figures.sensitivity(report.model_copy(update={"groups": tuple(plain)}), tmp_path / "a.png")


@pytest.mark.usefixtures("matplotlib")
def test_one_candidate_is_drawn(make_search, tmp_path: Path) -> None:
    """A search that stopped at its first candidate has a picture, also where that is as slow as FP32."""
    report = make_search()
    same = {"throughput": 1.0, "throughput_spread": (1.0, 1.0), "ratio": 1.0, "expected_ratio_low": 1.0}
    alone = report.candidates[4].model_copy(update={**same, "expected_ratio": 1.0})
    (tmp_path / "a.png").write_bytes(
        figures.pareto_png(report.model_copy(update={"candidates": (alone,), "target": 1.0}))
    )


@pytest.mark.usefixtures("matplotlib")
def test_svg_has_the_colors_of_its_page(make_search) -> None:
    """In a page the picture is XML of its own ids, and every colour of the theme is a variable."""
    svg = figures.pareto_svg(make_search())
    assert svg == figures.pareto_svg(make_search())
    root = ET.fromstring(svg)
    assert {"viewBox", "aria-hidden"} == set(root.attrib) - {"version"}
    ids = {element.get("id") for element in root.iter()} - {None}
    assert all(name.startswith("pareto-") for name in ids)
    assert [] == [color for color in THEME if color in svg]
    assert "var(--accent)" in svg


def test_missing_matplotlib_is_one_line(make_search, tmp_path: Path, monkeypatch) -> None:
    """The extra to install is named, and nothing is written."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.style", raising=False)
    with pytest.raises(UsageError, match=r'a figure needs matplotlib.*pip install "quantkit\[report\]"'):
        (tmp_path / "a.png").write_bytes(figures.pareto_png(make_search()))
    assert [] == list(tmp_path.glob("*.png"))


@settings(max_examples=60)
@given(
    speeds=st.lists(st.floats(0.2, 4), min_size=1, max_size=9),
    ratios=st.lists(st.floats(0, 1.01), min_size=9, max_size=9),
)
def test_frontier_is_what_nothing_beats(speeds: list[float], ratios: list[float]) -> None:
    """Every point of the frontier is beaten by no other in both, and every other point is."""
    points = {(1.0, 1.0), *zip(speeds, ratios, strict=False)}
    best = frontier(points)

    def beaten(point: tuple[float, float]) -> bool:
        return any(other != point and other[0] >= point[0] and other[1] >= point[1] for other in points)

    assert sorted(point for point in points if not beaten(point)) == best


def group(name: str, *layers: str) -> GroupSensitivity:
    numbers = {"macs": 1, "damage": 0.0, "changed": 0.0, "sqnr_db": 40.0}
    return GroupSensitivity(group=name, layers=layers or (name,), kind="", **numbers)


@pytest.mark.parametrize(
    ("name", "layers", "expected"),
    [
        (
            f"{LAYER}.3.attention.self.*",
            [f"{LAYER}.3.attention.self.{part}" for part in ("query", "key", "value")],
            Place(layer=3, kind="query, key, value"),
        ),
        (f"{LAYER}.11.attention.output.dense", [], Place(layer=11, kind="attention.output")),
        (f"{LAYER}.0.output.dense", [], Place(layer=0, kind="output")),
        (f"{LAYER}.0.a", [f"{LAYER}.0.a", f"{LAYER}.0.b.c"], Place(layer=0, kind="a and 1 more")),
        ("transformer.layer.2.ffn.lin1", [], Place(layer=2, kind="ffn.lin1")),
        ("qa_outputs", [], Place(layer=None, kind="qa_outputs")),
    ],
)
def test_places(name: str, layers: list[str], expected: Place) -> None:
    """The layer's number and a short name are read off the names of a group and of its layers."""
    assert (expected,) == places([group(name, *layers)])


def test_names_that_would_be_the_same_stay_long() -> None:
    """A short name never stands for two groups."""
    groups = [group(f"{LAYER}.0.output.dense"), group(f"{LAYER}.0.output")]
    assert ["output.dense", "output"] == [place.kind for place in places(groups)]


@given(names=st.lists(st.text("ab.*,01", min_size=1), unique=True, max_size=8))
def test_any_names_have_places(names: list[str]) -> None:
    """Groups of other models have other names; each still has a place."""
    named = places([group(name) for name in names])
    assert len(names) == len(named)
    assert is_grid(named) in (True, False)
