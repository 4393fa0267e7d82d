"""The two tables of a comparison as text: what the page, Markdown and the terminal show is the same to the letter."""

from dataclasses import dataclass
from typing import Literal

from quantkit.records.comparison import Comparison, Entry, Gain
from quantkit.report.digits import between, change, kept, parameters, points, rate, score, size, times
from quantkit.report.groups import score_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A number as text; `note` says more in small print."""

    text: str
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One row: a model with its numbers, its gain against another, or a layer of all models."""

    kind: Literal["model", "gain", "layer"]
    name: str
    note: str = ""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberTable:
    """One table: caption, columns, rows; `first` is the head of the rows' names."""

    key: str
    caption: str
    note: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    first: str = "model"


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
    what += [f"student of {entry.teacher}"] if entry.teacher else []
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
            Cell(
                text=points(gain.score_points),
                note="" if gain.score_ratio is None else kept(gain.score_ratio),
            ),
            Cell(text=change(gain.parameters)),
            Cell(text=change(gain.size)),
            Cell(text=times(gain.throughput), note=between(gain.throughput_bounds)),
        ),
    )
