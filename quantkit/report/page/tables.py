"""The two tables as text: what the page, Markdown and the terminal show is the same to the letter."""

from dataclasses import dataclass
from typing import Literal

from quantkit.records.comparison import Comparison, Entry, Gain
from quantkit.report.digits import cut
from quantkit.report.groups import score_name

TIMES, MINUS, NONE = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}", "\N{EN DASH}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A number as text; `note` says more in small print."""

    text: str
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One row: a model with its numbers, or its gain against another."""

    kind: Literal["model", "gain"]
    name: str
    note: str = ""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberTable:
    """One table: caption, columns, rows; the first column is the rows' name."""

    key: str
    caption: str
    note: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def tables(report: Comparison) -> tuple[NumberTable, ...]:
    """Return Table 1 (FP32) and Table 2 (INT8), each only when there is a row for it."""
    found = []
    for number, (precision, title) in enumerate((("fp32", "FP32"), ("int8", "INT8")), start=1):
        entries = [entry for entry in report.entries if entry.precision == precision]
        if not entries:
            continue
        note = "Gains are against the first row." if precision == "fp32" else _pairing(entries)
        found.append(
            NumberTable(
                key=precision,
                caption=f"Table {number}: {title}",
                note=note if any(entry.gains for entry in entries) else "",
                columns=(score_name(report.task), "parameters", "model size", "throughput"),
                lines=tuple(line for entry in entries for line in _lines(entry)),
            )
        )
    return tuple(found)


def _pairing(entries: list[Entry]) -> str:
    """Say how FP32 artifacts were found for INT8 ones."""
    how = sorted({entry.paired_by for entry in entries if entry.paired_by is not None})
    if not how:
        return "No FP32 artifact of the same model is among those named."
    return f"Each INT8 artifact stands against the FP32 artifact that is {' or '.join(_PAIRED[name] for name in how)}."


_PAIRED = {
    "its parent": "its parent",
    "the gate's baseline": "the baseline of its gate",
    "the same checkpoint": "made from the same checkpoint",
    "the order": "named before it",
}


def _lines(entry: Entry) -> list[Line]:
    what = [entry.architecture, entry.checkpoint] if entry.checkpoint != entry.name else [entry.architecture]
    model = Line(
        kind="model",
        name=entry.name,
        note=", ".join(filter(None, what)),
        cells=(
            Cell(text=score(entry.score)),
            Cell(text=parameters(entry.parameters)),
            Cell(text=size(entry.size_bytes)),
            Cell(text=rate(entry.throughput)),
        ),
    )
    return [model, *(_gain(gain) for gain in entry.gains)]


def _gain(gain: Gain) -> Line:
    return Line(
        kind="gain",
        name=f"against {gain.against}",
        note=gain.name,
        cells=(
            Cell(text=points(gain.score_points), note=kept(gain.score_ratio)),
            Cell(text=change(gain.parameters)),
            Cell(text=change(gain.size)),
            Cell(text=times(gain.throughput), note=between(gain.throughput_bounds)),
        ),
    )


def score(value: float | None) -> str:
    """Return a score in percent with two decimals, cut."""
    return NONE if value is None else cut(value, 2)


def points(value: float | None) -> str:
    """Return a difference of scores with its sign, cut."""
    if value is None:
        return NONE
    text = cut(abs(value), 2) if value >= 0 else cut(value, 2).removeprefix("-")
    return f"{'+' if value >= 0 else MINUS}{text}"


def kept(ratio: float | None) -> str:
    """Return a ratio of scores in percent, cut."""
    return "" if ratio is None else f"{cut(100 * ratio, 3)} %"


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
