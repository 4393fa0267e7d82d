"""The one reader of JSON: a value, or a ValueError in one line, whatever it is given."""

import contextlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.strict_json import DEEPEST, parse_json, parse_object, read_json

ROOT = Path(__file__).resolve().parent.parent
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
    # What UTF-8 can write: no halves of surrogate pairs.
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)  # fmt: skip
REFUSED = {
    "nothing": ("", "Expecting value"),
    "cut off": ('{"a": [1, 2', "delimiter"),
    "two values": ("1 2", "Extra data"),
    "NaN": ("[NaN]", "NaN is no number of JSON"),
    "Infinity": ('{"a": -Infinity}', "-Infinity is no number of JSON"),
    "a number that overflows": ("[1e999]", "the number 1e999 is too large"),
    "a number of 5,000 digits": ("9" * 5000, "a number of 5,000 digits"),
    "a key twice": (
        '{"verdict": "fail", "b": {"verdict": 1}, "verdict": "pass"}',
        "the key 'verdict' is given",
    ),
    "half a surrogate pair": (r'{"a": ["\ud800"]}', "half of a surrogate pair"),
    "the other half, in a key": (r'{"\uDFFF": 1}', "half of a surrogate pair"),
    "lists, deep": ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested more than 100 deep"),
    "lists, deeper than Python goes": ("[" * 200_000, "nested more than 100 deep"),
    "objects, deep": ('{"a":' * 101 + "1" + "}" * 101, "nested more than 100 deep"),
    "a control character in a text": ('"\x1b[2J"', "control character"),
    "a byte order mark": ("\ufeff{}", "BOM"),
    "bytes that are no UTF-8": (b'"\xff"', "can't decode"),
    "bytes of UTF-16": ('{"a": 1}'.encode("utf-16"), "can't decode"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    """Everything that is not JSON, or that two programs read differently, is a ValueError that says what it is."""
    content, said = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_json(content)


def test_what_is_taken() -> None:
    """As deep as it may be, a whole pair of surrogates, the number transformers writes for no limit."""
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert json.dumps(parse_json(deep)).replace(" ", "") == deep
    assert parse_json(r'"\ud83e\udd37"') == "🤷"
    assert parse_json("1000000000000000019884624838656") == 1000000000000000019884624838656


@given(VALUES)
def test_what_json_writes_is_read(value: Any) -> None:
    """What Python writes as JSON comes back, as text and as bytes."""
    text = json.dumps(value)
    assert parse_json(text) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_anything_is_a_value_or_a_value_error(content: bytes | str) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(ValueError):
        json.dumps(parse_json(content), allow_nan=False).encode()


def test_the_stack_makes_no_difference() -> None:
    """Text that Python could read at the top of its stack, and not deep in it, is refused in both places."""
    text = "[" * 900 + "]" * 900

    def deep(frames: int) -> None:
        if frames:
            return deep(frames - 1)
        with pytest.raises(ValueError, match="deep"):
            parse_json(text)
        return None

    deep(0)
    deep(sys.getrecursionlimit() // 2)


def test_size(tmp_path: Path) -> None:
    """What is larger than allowed is not looked into, and of a file no more is read."""
    with pytest.raises(ValueError, match="10 bytes, more than 9"):
        parse_json("1234567890", largest=9)
    (tmp_path / "large").write_text("1" * 11)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        read_json(tmp_path / "large", largest=10)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe, which may never end, is refused; a folder and nothing are errors of the system."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        read_json(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        read_json(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "nothing")


def test_object() -> None:
    """Where an object is expected, another value is a ValueError too."""
    assert parse_object('{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError, match="not an object"):
        parse_object("[1]")


def test_nothing_else_reads_json() -> None:
    """In the package only this reader parses JSON, and processes what their own parent tells them."""
    engine = {"runtime/instance.py", "runtime/engine/child.py"}
    own = {"strict_json.py", "runtime/confined.py", "runtime/confinement.py", *engine}
    found = {
        path.relative_to(ROOT / "quantkit").as_posix()
        for path in (ROOT / "quantkit").rglob("*.py")
        if re.search(r"json\.loads?\(|model_validate_json|JSONDecoder", path.read_text(encoding="utf-8"))
    }
    assert found == own
