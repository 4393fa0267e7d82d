"""Text inside Markdown: verdicts as signs, and words of others that must not become markup."""

import re

from quantkit.printable import one_line
from quantkit.records.gate import Verdict

SIGNS: dict[Verdict, str] = {"pass": "✅", "fail": "❌", "inconclusive": "❔"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$@!])")


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line, also inside a table cell."""
    return _SPECIAL.sub(r"\\\1", one_line(text))
