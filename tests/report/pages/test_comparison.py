"""The page of a comparison: whole in itself, true to the record, safe with any text."""

import re
import sys
from html.parser import HTMLParser

import pytest

from quantkit.errors import UsageError
from quantkit.report.pages import comparison_page

VOID = {"meta", "link", "br", "rect", "line", "path", "circle"}


@pytest.fixture(autouse=True)
def extra() -> None:
    pytest.importorskip("jinja2")


class _Reader(HTMLParser):
    """Collects text, tags and what is fetched; checks that elements close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.ids, self.links, self.open, self.headers = [], [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[name] for name in ("src", "href", "srcset") if name in found]
        self.headers += [found.get("scope")] if tag == "th" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _text(page: str) -> str:
    return " ".join(" ".join(_Reader(page).text).split())


def test_page_is_whole_and_the_same(make_comparison) -> None:
    """Nothing is fetched, no id is there twice, every element closes, and the same numbers give the same page."""
    page = comparison_page(make_comparison())
    reader = _Reader(page)
    assert page == comparison_page(make_comparison())
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert [link for link in reader.links if not link.startswith("#")] == []
    assert re.search(r"https?://|url\(|@import", page) is None
    assert "prefers-color-scheme: dark" in page
    assert set(reader.headers) == {"col", "row"}


def test_page_shows_the_comparison(make_comparison) -> None:
    """Headline, tables, charts, gate, layers, environment and commands are there."""
    text = _text(comparison_page(make_comparison()))
    assert "small-int8: 100.000 % of the FP32 F1 at 1.53 \N{MULTIPLICATION SIGN} its throughput" in text
    for expected in (
        "Table 1: FP32",
        "Table 2: INT8",
        "gate passed",
        "shown only",
        "not counted",
        "query, key, value",
        "Some <CPU> & more, 2 cores, avx2",
        "quantkit evaluate small-int8",
        "onnxruntime 1.23.0",
    ):
        assert expected in text
    assert "Not there yet" not in text


def test_gaps_name_their_commands(make_comparison) -> None:
    """What is missing is said with the command that makes it, and no chart is drawn of nothing."""
    page = comparison_page(make_comparison(measured=False))
    assert "Not there yet throughput of all: quantkit bench small-int8" in _text(page)
    assert "<svg" not in page


def test_text_is_never_markup(make_comparison) -> None:
    """Names of artifacts, files and processors come from elsewhere, also into the charts."""
    page = comparison_page(make_comparison("</title><script>alert(1)</script>\"' onload=x"))
    assert "<script" not in page
    assert _Reader(page).open == []
    assert "<CPU>" not in page


def test_missing_extra_is_one_line(make_comparison, monkeypatch) -> None:
    """The extra to install is named."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UsageError, match=r'jinja2.*pip install "quantkit\[report\]"'):
        comparison_page(make_comparison())
