"""Agreement: whether a gate report is the one that its evidence gives.

Everything in a report but the versions of tools is computed from the evidence, so a second computation must give the
same. What comes from the bootstrap may differ in its last digits where another numpy sums in another order; all else,
the words of the checks included, is the same to the last digit.
"""

import math
import re
from typing import Any

from quantkit.records import Check, GateReport

_EXACT = 1e-9
_RESAMPLED = 1e-6
# Computed from resamples, or by sums in an order of their own.
_BOOTSTRAPPED = frozenset({"kept_ratio", "interval", "p_value", "design_effect", "questions_needed"})
_BOOTSTRAPPED_CHECK = re.compile(r".* statistical|gain|chance|cosine|nearest texts")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def disagreement(report: GateReport, fresh: GateReport) -> str | None:
    """Return what a report says that a second judgement does not, in a few words; None when it is the same.

    Args:
        report: as it was found.
        fresh: as `judge` makes it from the evidence and the report's own settings.
    """
    told, true = _names(report.checks), _names(fresh.checks)
    if told != true:
        return f"its checks are {', '.join(told) or 'none'}, and not {', '.join(true)}"
    for check, own in zip(report.checks, fresh.checks, strict=True):
        for field in ("verdict", "decides", "required", "observed"):
            said, found = getattr(check, field), getattr(own, field)
            loose = field == "observed" and bool(_BOOTSTRAPPED_CHECK.fullmatch(check.name))
            if said != found and not (loose and _same_text(said, found)):
                return f"its check {check.name} says {field} {said!r}, and its evidence {found!r}"
    said, found = (
        report.model_dump(exclude={"checks", "tools"}),
        fresh.model_dump(exclude={"checks", "tools"}),
    )
    for name, value in found.items():
        tolerance = _RESAMPLED if name in _BOOTSTRAPPED else _EXACT
        if not _same(said[name], value, tolerance):
            return f"its {name} is {said[name]!r}, and its evidence gives {value!r}"
    return None


def _names(checks: tuple[Check, ...]) -> list[str]:
    return [check.name for check in checks]


def _same(said: Any, found: Any, tolerance: float) -> bool:
    if isinstance(found, float) and isinstance(said, float):
        return math.isclose(said, found, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(found, dict) and isinstance(said, dict):
        return said.keys() == found.keys() and all(_same(said[key], found[key], tolerance) for key in found)
    if isinstance(found, int) and isinstance(said, int) and tolerance == _RESAMPLED:
        return math.isclose(said, found, rel_tol=tolerance, abs_tol=1)
    return bool(said == found) and isinstance(said, bool) == isinstance(found, bool)


def _same_text(said: str, found: str) -> bool:
    """Return whether two texts differ in nothing but the last digits of numbers that are written out."""
    if _NUMBER.sub("#", said) != _NUMBER.sub("#", found):
        return False
    pairs = zip(_NUMBER.findall(said), _NUMBER.findall(found), strict=True)
    # What is cut to so many digits can jump by one of the last.
    return all(abs(float(one) - float(other)) <= 1.5 * 10.0 ** -_digits(other) for one, other in pairs)


def _digits(number: str) -> int:
    return len(number.partition(".")[2]) if "." in number else 9
