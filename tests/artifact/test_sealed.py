"""Sealed records: an entry of the cache is believed whole or not at all."""

from typing import Any

import pytest

from quantkit.artifact.sealed import KEY, entry_path, kept, read_sealed, write_sealed

CONTENT = {"evaluation": {"f1": 97.864, "artifact": "a" * 64}, "scores": [{"id": "q\u00e9", "f1": 1.0}]}


def test_what_is_kept_is_read_back() -> None:
    """An entry is one file, and its content comes back the same; another key or kind has none."""
    write_sealed("evaluations", "k", CONTENT)
    assert read_sealed("evaluations", "k") == CONTENT
    assert read_sealed("evaluations", "other") is None
    assert read_sealed("lineages", "k") is None
    assert [path.name for path in entry_path("evaluations", "k").parent.iterdir()] == ["k.json"]


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_a_miss(bit: int) -> None:
    """There is no byte of an entry that can be changed without its seal telling."""
    write_sealed("evaluations", "k", CONTENT)
    path = entry_path("evaluations", "k")
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
        assert read_sealed("evaluations", "k") is None, place


def test_an_entry_under_another_name_is_a_miss() -> None:
    """The key is under the seal: a good entry copied to where another belongs is not believed."""
    write_sealed("evaluations", "good", CONTENT)
    entry_path("evaluations", "bad").write_bytes(entry_path("evaluations", "good").read_bytes())
    assert read_sealed("evaluations", "bad") is None


def test_with_a_key_only_entries_of_that_key_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shared cache a seal that anybody can make is worth nothing, and neither is one of another key."""
    write_sealed("evaluations", "open", CONTENT)
    monkeypatch.setenv(KEY, "one")
    assert read_sealed("evaluations", "open") is None
    write_sealed("evaluations", "keyed", CONTENT)
    assert read_sealed("evaluations", "keyed") == CONTENT
    monkeypatch.setenv(KEY, "two")
    assert read_sealed("evaluations", "keyed") is None
    monkeypatch.delenv(KEY)
    assert read_sealed("evaluations", "keyed") is None


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "7", "[" * 100_000, '{"content": NaN}', "\ud800"])
def test_what_is_no_entry_is_a_miss(text: str) -> None:
    """Whatever lies there, reading it ends in a miss and never in an error."""
    write_sealed("evaluations", "k", CONTENT)
    entry_path("evaluations", "k").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert read_sealed("evaluations", "k") is None


def test_kept_makes_again_what_cannot_be_read() -> None:
    """A sealed entry whose content does not fit is made again; without the cache nothing is read or written."""
    made: list[str] = []

    def make() -> str:
        made.append("x")
        return "value"

    def read(content: Any) -> str:
        if content != "value":
            raise ValueError(content)
        return str(content)

    def ask(*, cached: bool = True) -> str:
        return kept("things", "k", make, read=read, write=lambda value: value, cached=cached)

    assert ask(cached=False) == "value"
    assert not entry_path("things", "k").exists()
    assert [ask(), ask()] == ["value", "value"]
    assert len(made) == 2
    write_sealed("things", "k", "forged")
    assert ask() == "value"
    assert len(made) == 3
