"""The page of a search for shapes: whole in itself, true to the report, and safe with any text."""

import html
import re
import sys

import pytest

from quantkit.report.pages.shapes import shapes_page
from quantkit.report.shape_files import PAGE, PICTURE, REPORT, write_shape_files


@pytest.fixture(autouse=True)
def extra() -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")


def said(page: str) -> str:
    """Return the text of a page."""
    body = re.sub(r"<svg.*?</svg>", "", page[page.index("<body") :], flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_page_says_what_the_report_says(shape_search) -> None:
    """Verdict, limits, every candidate with its widths, every block's damages, times and environment are there."""
    text = said(shapes_page(shape_search))
    times = "\N{MULTIPLICATION SIGN}"
    words = (
        "✓ every limit kept",
        f"50.0 M parameters at 2.00 {times} the INT8 teacher",
        "throughput at least 1.9 times the INT8 teacher's; at most 60,000,000 parameters",
        "99.899 %",
        *(one.origin for one in shape_search.candidates),
        "9 0 6 2304 1536 0",
        "✓ 2,304 0.016 576 µs",
        "\N{MINUS SIGN}0.50",
        "2 min 0 s in all.",
        "8 1 h 7 min 50 s 1 h 6 min 20 s",
        "Some <CPU> & more",
        "avx512_vnni",
    )
    assert [word for word in words if word not in text] == []
    assert text.count("✓ ") == 1 + len(shape_search.blocks)


def test_finalists_have_a_spread(shape_search) -> None:
    """Where some were timed together their least and most are shown, and dashes for the others."""
    times = "\N{MULTIPLICATION SIGN}"
    candidates = list(shape_search.candidates)
    candidates[2] = candidates[2].model_copy(update={"finalist": True, "throughput_spread": (1.875, 2.125)})
    text = said(shapes_page(shape_search.model_copy(update={"candidates": tuple(candidates)})))
    assert "timed together, in turns" in text
    assert text.count(f"2.00 {times} 1.88 {times} to 2.12 {times}") == 1
    assert "timed together" not in said(shapes_page(shape_search))


def test_blocks_in_float_are_marked(shape_search) -> None:
    """Behind heads, widths and options of blocks, with a word on what the mark means; without any there is neither."""
    first = shape_search.blocks[0]
    option = first.options[0].model_copy(update={"scheme": "float"})
    blocks = (first.model_copy(update={"options": (*first.options, option)}), *shape_search.blocks[1:])
    chosen = shape_search.candidates[shape_search.chosen]
    heads = " ".join(map(str, chosen.heads))
    kept = chosen.model_copy(
        update={"float_blocks": (first.slot,), "heads": (option.units, *chosen.heads[1:])}
    )
    candidates = [kept if one is chosen else one for one in shape_search.candidates]
    text = said(
        shapes_page(shape_search.model_copy(update={"blocks": blocks, "candidates": tuple(candidates)}))
    )
    marked = " ".join([f"{option.units}f", *map(str, chosen.heads[1:])])
    assert (marked in text, marked in heads) == (True, False)
    assert f"✓ {option.units}f" in text
    assert text.count("f: in float; the others are INT8.") == 2
    assert "in float" not in said(shapes_page(shape_search))


def test_page_is_whole(shape_search) -> None:
    """Nothing is fetched, the dark has its colours, and the same report gives the same page."""
    page = shapes_page(shape_search)
    assert page == shapes_page(shape_search)
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"|url\(http', page) == []
    assert "prefers-color-scheme: dark" in page


def test_text_is_never_markup(shape_search) -> None:
    """Names of processors come from elsewhere."""
    page = shapes_page(shape_search.model_copy(update={"cpu": {"model": "<script>alert(1)</script>"}}))
    assert "<script" not in page


def test_limits_that_are_missed_look_missed(shape_search) -> None:
    """Nobody takes the nearest for one that was asked for."""
    text = said(shapes_page(shape_search.model_copy(update={"met": False})))
    assert "✕ no candidate keeps every limit" in text
    assert "the nearest there was" in text


def test_files_stand_beside_each_other(shape_search, tmp_path) -> None:
    """Report, page and picture are written."""
    write_shape_files(shape_search, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {REPORT, PAGE, PICTURE}


def test_without_the_extra_the_report_is_written(shape_search, tmp_path, monkeypatch, caplog) -> None:
    """A search is not lost for want of a picture."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    write_shape_files(shape_search, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [REPORT]
    assert "are not written" in caplog.text
