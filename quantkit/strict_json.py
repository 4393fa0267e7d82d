"""The one reader of JSON: bounded, and nothing but what JSON is. Text of any kind is a value or a ValueError.

Python's own reader takes more than JSON (NaN, a key twice, half a surrogate pair) and fails in more ways than one
(RecursionError, numbers of thousands of digits). What others wrote is read here alone; `quantkit.runtime` speaks JSON
with processes of its own, and those lines are not.
"""

import json
import math
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any

LARGEST = 1 << 28
"""Bytes of the largest text that is read: ten times what the largest tokenizers and datasets have."""
DEEPEST = 100
"""Objects and lists inside each other; nothing that quantkit reads has more than ten."""
_PIECE = 1 << 20
_DIGITS = 64  # of a whole number; transformers writes 31 for "no limit"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SHOWN = 40


def parse_json(content: str | bytes, *, largest: int = LARGEST) -> Any:
    """Return the value of JSON text.

    Args:
        content: text, or its bytes in UTF-8.
        largest: bytes (letters of text) above which it is not looked into.

    Raises:
        ValueError: it is not JSON; it is larger or deeper than anything quantkit reads; or it has a number that is
            none or not one of 64 digits, a key twice, or half a surrogate pair, which programs read differently.
    """
    if len(content) > largest:
        raise ValueError(f"it has {len(content):,} bytes, more than {largest:,}")
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=_whole,
            parse_float=_finite,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} deep") from None
    _check_depth(value)
    if _SURROGATE.search(text):
        _check_letters(value)
    return value


def parse_object(content: str | bytes, *, largest: int = LARGEST) -> dict[str, Any]:
    """Return the object of JSON text; see `parse_json`.

    Raises:
        ValueError: it is not JSON, or is not an object.
    """
    value = parse_json(content, largest=largest)
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    return value


def read_json(path: Path, *, largest: int = LARGEST) -> Any:
    """Return the value of a JSON file; see `parse_json`.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is not JSON, or no file of its own (a pipe and a device may never end).
    """
    return parse_json(read_limited(path, largest=largest), largest=largest)


def read_limited(path: Path, *, largest: int = LARGEST) -> bytes:
    """Return the bytes of a file.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is larger than `largest`, or a pipe or a device, which may never end.
    """
    if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
        raise ValueError("it is not a regular file")
    pieces, left = [], largest + 1
    with path.open("rb") as stream:
        # Piece by piece: asked for the largest at once, Python takes that much memory first.
        while left and (piece := stream.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    if not left:
        raise ValueError(f"it has more than {largest:,} bytes")
    return b"".join(pieces)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:_SHOWN]} is too large")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key {twice[:_SHOWN]!r} is given twice")
    return found


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {DEEPEST} deep")


def _check_letters(value: Any) -> None:
    """Refuse half of a surrogate pair, which no encoding can write; keys included."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a surrogate pair") from None
