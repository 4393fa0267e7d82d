"""Numbers for people. Scores are cut and never rounded: what is below a limit must not look as if it reached it."""

from decimal import ROUND_FLOOR, Decimal

TIMES, MINUS, NONE = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}", "\N{EN DASH}"


def cut(value: float, digits: int = 6) -> str:
    """Return `value` with so many decimals, cut towards minus infinity: 0.9989999 is 0.998999."""
    return str(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_FLOOR))


def counted(count: int, what: str) -> str:
    """Return a count of things: `1 thread`, `1,024 threads`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def short(digest: str) -> str:
    """Return the first 12 digits of a digest, which is how people tell artifacts apart.

    Reports hold any text as one: what is no letter, digit or hyphen is left out.
    """
    return "".join(letter for letter in digest if letter.isalnum() or letter == "-")[:12]


def score(value: float | None) -> str:
    """Return a score in percent with two decimals, cut."""
    return NONE if value is None else cut(value, 2)


def points(value: float | None) -> str:
    """Return a difference of scores with its sign, cut."""
    if value is None:
        return NONE
    text = cut(abs(value), 2) if value >= 0 else cut(value, 2).removeprefix("-")
    return f"{'+' if value >= 0 else MINUS}{text}"


def kept(ratio: float) -> str:
    """Return a ratio of scores in percent, cut."""
    return f"{cut(100 * ratio, 3)} %"


def coverage(share: float) -> str:
    """Return a share of multiply-accumulates in percent, cut."""
    return f"{cut(100 * share, 1)} %"


def nats(divergence: float) -> str:
    """Return two digits that count, written out."""
    return "< 0.0000001" if 0 < abs(divergence) < 1e-7 else f"{Decimal(f'{divergence:.2g}'):f}"


def parameters(count: int | None) -> str:
    """Return a count of parameters in millions, or thousands."""
    if count is None:
        return NONE
    return f"{count / 1e6:,.1f} M" if count >= 1e6 else f"{count / 1e3:,.1f} k"


def size(count: int) -> str:
    """Return bytes as GB, MB or kB (powers of ten)."""
    unit, name = next((pair for pair in ((1e9, "GB"), (1e6, "MB")) if count >= pair[0]), (1e3, "kB"))
    return f"{count / unit:,.2f} {name}" if unit == 1e9 else f"{count / unit:,.1f} {name}"


def rate(value: float | None) -> str:
    """Return windows per second."""
    if value is None:
        return NONE
    return f"{value:,.0f} /s" if value >= 1000 else f"{value:,.1f} /s"


def change(ratio: float | None) -> str:
    """Return a ratio as a change in percent, such as minus 74.5 %."""
    if ratio is None:
        return NONE
    percent = f"{100 * (ratio - 1):+,.1f} %"
    return "0 %" if percent in ("+0.0 %", "-0.0 %") else percent.replace("-", MINUS)


def times(ratio: float | None) -> str:
    """Return a ratio of throughputs, such as 1.89 times."""
    return NONE if ratio is None else f"{ratio:.2f} {TIMES}"


def between(bounds: tuple[float, float] | None) -> str:
    """Return the bounds of a ratio."""
    return "" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"
