"""Journal: what was measured is not measured again, and nothing that is broken gets in the way."""

import json
from pathlib import Path

import pytest

from quantkit.allocation.journal import Journal


class Counter:
    """Measures and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def measure(self) -> dict[str, int]:
        """Return how often it was called."""
        self.times += 1
        return {"value": self.times}


def lines(journal: Journal) -> list[str]:
    return journal.path.read_text().splitlines()


def test_nothing_is_measured_twice() -> None:
    """What is known is returned, in one process and in the next."""
    counter = Counter()
    first = Journal("key")
    assert first.remembered({"group": "a"}, counter.measure) == {"value": 1}
    assert first.remembered({"group": "a"}, counter.measure) == {"value": 1}
    assert first.remembered({"group": "b"}, counter.measure) == {"value": 2}
    again = Journal("key")
    assert again.remembered({"group": "a"}, counter.measure) == {"value": 1}
    assert again.remembered({"group": "b"}, counter.measure) == {"value": 2}
    assert len(lines(again)) == counter.times == 2


def test_another_key_knows_nothing() -> None:
    """Measurements of other models, questions or tools do not count."""
    counter = Counter()
    Journal("one").remembered("a", counter.measure)
    Journal("two").remembered("a", counter.measure)
    assert counter.times == 2


def test_a_file_of_another_search_knows_nothing() -> None:
    """A journal that was copied to another's place answers nothing, and both go on side by side in it."""
    counter = Counter()
    one, two = Journal("one"), Journal("two")
    one.remembered("a", counter.measure)
    two.path.write_bytes(one.path.read_bytes())
    assert Journal("two").remembered("a", counter.measure) == {"value": 2}
    assert Journal("two").remembered("a", counter.measure) == {"value": 2}
    one.path.write_bytes(two.path.read_bytes())
    assert Journal("one").remembered("a", counter.measure) == {"value": 1}


def test_measurements_come_back_with_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds are those of the measurement, not of reading."""
    now = iter([100.0, 102.5])
    monkeypatch.setattr("quantkit.allocation.journal.time.monotonic", lambda: next(now))
    assert Journal("key").timed("a", Counter().measure) == {"value": 1, "seconds": 2.5}
    assert Journal("key").timed("a", lambda: pytest.fail("measured again")) == {"value": 1, "seconds": 2.5}


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_line_that_was_cut_off_is_measured_again(cut: int) -> None:
    """A search that was killed while it wrote loses that one measurement, and the next one is not lost with it."""
    counter = Counter()
    journal = Journal("key")
    for group in "abc":
        journal.remembered(group, counter.measure)
    content = journal.path.read_bytes()
    journal.path.write_bytes(content[:-cut])
    # The line is whole when only its end is missing.
    whole = cut == 1
    again = Journal("key")
    for group in "abcd":
        again.remembered(group, counter.measure)
    assert (4 if whole else 5) == counter.times
    last = Journal("key")
    for group in "abcd":
        last.remembered(group, lambda: pytest.fail("measured again"))


@pytest.mark.parametrize("line", ["", "3", "[]", "{}", '{"of": ["a"], "found": 1}', '{"of": "x"}', "\x00"])
def test_strange_lines_are_passed_over(line: str) -> None:
    """Whatever stands there, what can be read is used."""
    counter = Counter()
    journal = Journal("key")
    journal.remembered("a", counter.measure)
    journal.path.write_text(line + "\n" + journal.path.read_text())
    assert Journal("key").remembered("a", counter.measure) == {"value": 1}


def test_file_that_is_no_text_is_passed_over() -> None:
    """Then everything is measured again."""
    counter = Counter()
    journal = Journal("key")
    journal.remembered("a", counter.measure)
    journal.path.write_bytes(b"\xff\xfe\x00" * 9)
    Journal("key").remembered("a", counter.measure)
    assert counter.times == 2


def test_failed_measurement_is_not_kept() -> None:
    """An error, or Ctrl-C, leaves no line."""
    journal = Journal("key")

    def interrupted() -> dict[str, int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        journal.remembered("a", interrupted)
    assert not journal.path.exists()
    assert journal.remembered("a", Counter().measure) == {"value": 1}


def test_cache_that_cannot_be_written_only_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The search goes on; that it could not be continued is said."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "file"))
    counter = Counter()
    journal = Journal("key")
    assert journal.remembered("a", counter.measure) == {"value": 1}
    assert journal.remembered("a", counter.measure) == {"value": 1}
    assert "the search cannot be continued if it is interrupted" in caplog.text


def test_lines_say_what_they_are_about() -> None:
    """People can read what was measured."""
    journal = Journal("key")
    journal.remembered({"alone": ["encoder.layer.0.output"]}, Counter().measure)
    entry = json.loads(lines(journal)[0])
    assert (entry["what"], entry["found"]) == ({"alone": ["encoder.layer.0.output"]}, {"value": 1})


def test_what_another_has_written_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lines of a journal elsewhere are added once, and known here and in the next process."""
    counter, here = Counter(), Journal("key")
    here.remembered({"group": "a"}, counter.measure)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("QUANTKIT_CACHE", str(tmp_path))
        there = Journal("key")
        for group in "ab":
            there.remembered({"group": group}, counter.measure)
    for _ in range(2):
        here.take(there.written)
    assert [here.knows({"group": group}) for group in "abc"] == [True, True, False]
    again = Journal("key")
    assert [again.remembered({"group": group}, counter.measure)["value"] for group in "ab"] == [1, 3]
    assert len(lines(again)) == 2
