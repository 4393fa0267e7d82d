"""The page of a search: whole in itself, true to the report, and safe with any text."""

import re
import sys
from html.parser import HTMLParser

import pytest

from quantkit.errors import UsageError
from quantkit.report.pages.search import search_page


@pytest.fixture(autouse=True)
def extra() -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")


class _Reader(HTMLParser):
    """Collects text, ids and what is fetched; checks that elements close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.ids, self.links, self.open = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[name] for name in ("src", "href", "srcset") if name in found]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_page_is_whole_and_the_same(make_search) -> None:
    """Nothing is fetched, no id is there twice, every element closes, and the same report gives the same page."""
    page = search_page(make_search(), recipe="mode: static\n")
    reader = _Reader(page)
    assert page == search_page(make_search(), recipe="mode: static\n")
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert [link for link in reader.links if not link.startswith("#")] == []
    assert "url(http" not in page
    assert "prefers-color-scheme: dark" in page


def test_page_says_what_the_report_says(make_search) -> None:
    """Verdict, every candidate, every group's choices, times and environment are there."""
    report = make_search()
    reader = _Reader(search_page(report))
    text = " ".join(" ".join(reader.text).split())
    assert "✓ target of 99.9 % met" in text
    assert "99.904 % of the FP32 F1 at 1.81 \N{MULTIPLICATION SIGN} its throughput" in text
    assert all(found.origin in text for found in report.candidates)
    assert all(name in text for name in report.seconds)
    assert len(report.groups) == text.count("✓ ") - 1
    assert all(
        word in text for word in ("blockwise 128", "Some <CPU> & more", "avx512_vnni", "onnxruntime 1.23.0")
    )


def test_a_missed_target_looks_missed(make_search) -> None:
    """Nobody takes the best that was found for one that passed."""
    text = " ".join(_Reader(search_page(make_search(met=False, task="text-classification"))).text)
    assert "✕ target of 99.9 % missed" in text
    assert "the best there was" in text
    assert "the fastest that meets" not in text
    assert "FP32 accuracy" in text


def test_a_near_miss_is_not_rounded_up(make_search) -> None:
    """99.8999 % is not shown as the 99.9 % it does not reach."""
    report = make_search(met=False)
    near = tuple(found.model_copy(update={"ratio": 0.9989999}) for found in report.candidates)
    page = search_page(report.model_copy(update={"candidates": near}))
    assert "99.899 % of the FP32 F1" in page
    assert "99.900 %" not in page


def test_text_is_never_markup(make_search) -> None:
    """Names of sets, files and processors come from elsewhere."""
    report = make_search().model_copy(update={"selection": "<script>alert(1)</script>"})
    page = search_page(report, recipe="because: '</pre><script>'")
    assert "<script" not in page


def test_numbers_are_written_out(make_search) -> None:
    """Tables hold no powers of ten."""
    text = " ".join(_Reader(search_page(make_search())).text)
    assert re.search(r"\d[eE]-\d", text) is None


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_missing_extra_is_one_line(make_search, monkeypatch, missing: str) -> None:
    """The extra to install is named."""
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "matplotlib.style", raising=False)
    with pytest.raises(UsageError, match=rf'{missing}.*pip install "quantkit\[report\]"'):
        search_page(make_search())


def test_times_of_another_moment_are_marked(make_search) -> None:
    """Finalists were timed together; a candidate that was timed alone says so, where it may contradict them."""
    report = make_search()
    before = " ".join(_Reader(search_page(report)).text)
    finalists = tuple(
        found.model_copy(update={"finalist": place < 2}) for place, found in enumerate(report.candidates)
    )
    text = " ".join(_Reader(search_page(report.model_copy(update={"candidates": finalists}))).text)
    assert (before.count(", alone"), text.count(", alone")) == (0, len(report.candidates) - 2)
    assert "finalists and FP32 all in turns" in " ".join(text.split())


def test_the_fastest_is_said_of_the_fastest_alone(make_search) -> None:
    """Where another that passed shows more throughput, the page does not call the chosen one the fastest."""
    report = make_search()
    faster = tuple(
        found
        if found.number == report.chosen
        else found.model_copy(update={"throughput": 2.45, "passed": True})
        for found in report.candidates
    )
    text = " ".join(_Reader(search_page(report.model_copy(update={"candidates": faster}))).text)
    assert "the fastest that meets" not in text
    assert "which diverges least of the fast ones that meet the target" in " ".join(text.split())
