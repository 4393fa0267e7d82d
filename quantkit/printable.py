r"""Words of others on a terminal, in a job's log and in a report: what is no letter is spelled out, in one place.

Names of files, layers, labels and operators come from whoever made them. Printed as they are, an escape sequence
rewrites the screen, a bidirectional override turns a line around, and a line that begins with `::error` or holds
`##[` or `##vso[` is an order to the CI system that reads the log. So whoever renders text sends it through here, and
a reader sees `\x1b` where an escape was.
"""

import re

# GitHub's `::name ...::` at the beginning of a line, and `##[name]` anywhere; Azure's `##vso[`, TeamCity's.
_SPACES = "\u00a0\u202f"  # those that do not break, as in "100 %"
_ORDERS = re.compile(rf"(?m)^(?P<space>[ {_SPACES}]*):(?=:)|#(?=#\w*\[)")
_ANYWHERE = re.compile(r":(?=:[A-Za-z])")


def one_line(text: str) -> str:
    """Return text as one line, white space as single spaces: for messages and Markdown."""
    return spelled_out(" ".join(text.split()))


def spelled_out(text: str) -> str:
    """Return text of any number of lines, fit to be printed as it is."""
    return _ORDERS.sub(_first, _letters(text, f"\n{_SPACES}"))


def cell(text: str) -> str:
    """Return text for a cell of a table, which may be broken into lines anywhere."""
    return _ORDERS.sub(_first, _ANYWHERE.sub(r"\\x3a", _letters(text, _SPACES)))


def json_spelled_out(text: str) -> str:
    """Return JSON text that reads back as the same value."""
    # Outside of its strings JSON has neither orders nor anything that is no letter.
    letters = "".join(
        letter if letter.isprintable() or letter == "\n" else _json_escape(letter) for letter in text
    )
    return _ORDERS.sub(lambda found: _json_escape("#") if found[0] == "#" else found[0], letters)


def _letters(text: str, kept: str) -> str:
    return "".join(letter if letter.isprintable() or letter in kept else _escape(letter) for letter in text)


def _first(found: re.Match[str]) -> str:
    return r"\x23" if found[0] == "#" else rf"{found['space']}\x3a"


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode()


def _json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))
