"""Numbers for people, cut and never rounded: what is below a limit must not look as if it reached it."""

from decimal import ROUND_FLOOR, Decimal


def cut(value: float, digits: int = 6) -> str:
    """Return `value` with so many decimals, cut towards minus infinity: 0.9989999 is 0.998999."""
    return str(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_FLOOR))


def short(digest: str) -> str:
    """Return the first 12 digits of a digest, which is how people tell artifacts apart."""
    return digest[:12]
