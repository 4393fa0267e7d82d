"""Predicted damage against what was measured of whole INT8 models: in how far sums over blocks order candidates.

    python benchmarks/predicted_damage.py found-1/search.json found-2/search.json … [-o FIGURE.svg]

Takes the reports of any number of searches of one teacher on the same questions, such as for 1.25, 1.5 and 2 times the
throughput. Of every shape that one of them built, as found or as a baseline, it prints what the damages of its blocks
add up to, before anything was built, and what the INT8 model then was on the selection; and the rank correlation of the
two. The figure has both, a mark for each shape. Shapes whose units were chosen by magnitude are left out: no prediction
is about them.
"""

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from quantkit.errors import QuantkitError, UsageError
from quantkit.files import write_text
from quantkit.records import ShapeSearch
from quantkit.records.shapes import SHALLOW, UNIFORM, ShapeCandidate
from quantkit.report.figures.drawing import ACCENT, BLUE, INK, PAPER, SOFT, drawing, new_figure
from quantkit.report.figures.shapes import MARKS
from quantkit.report.widths import feed_forward_of, heads_of
from quantkit.shapes.record import rank_correlation

_HEIGHT, _MARK = 3.6, 7.5
_NOT_PREDICTED = ("teacher", "uniform by magnitude")


def built(reports: Sequence[ShapeSearch]) -> list[ShapeCandidate]:
    """Return each shape that was built and has a prediction, once, the least damage first.

    Raises:
        UsageError: the searches are not of one teacher on the same questions.
    """
    if len({(one.teacher, one.data_digest, one.selection_digest) for one in reports}) > 1:
        raise UsageError("the searches are not of one teacher on the same questions; give those that are")
    shapes = {
        (one.heads, one.feed_forward, one.float_blocks): one
        for report in reports
        for one in report.candidates
        if one.origin not in _NOT_PREDICTED
    }
    return sorted(shapes.values(), key=lambda one: one.predicted_damage)


def correlations(shapes: Sequence[ShapeCandidate]) -> dict[str, float]:
    """Return the rank correlation of predicted damage with what was measured; a lower score is more damage."""
    predicted = [one.predicted_damage for one in shapes]
    return {
        "divergence": rank_correlation(predicted, [one.divergence for one in shapes]),
        "expected F1": rank_correlation(predicted, [-one.expected_ratio for one in shapes]),
        "F1": rank_correlation(predicted, [-one.ratio for one in shapes]),
    }


def markdown(shapes: Sequence[ShapeCandidate], found: Mapping[str, float]) -> str:
    """Return the table, and the sentence under it."""
    lines = [
        "| heads | feed-forward widths | origin | predicted damage | divergence | expected F1 kept | F1 kept |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in shapes:
        lines.append(
            f"| {heads_of(one)} | {feed_forward_of(one)} | {one.origin} | "
            f"{one.predicted_damage:.3f} | {one.divergence:.3f} | "
            f"{100 * one.expected_ratio:.1f} % | {100 * one.ratio:.1f} % |"
        )
    said = ", ".join(f"{value:.3f} with {name}" for name, value in found.items())
    return "\n".join([*lines, "", f"{len(shapes)} shapes; rank correlation of the predicted damage: {said}"])


def figure_svg(shapes: Sequence[ShapeCandidate]) -> str:
    """Return predicted damage and measured divergence of each shape as an SVG.

    Raises:
        UsageError: matplotlib is not installed.
    """
    kinds = {"found": "o", "uniform widths": MARKS[UNIFORM], "without the last layers": MARKS[SHALLOW]}
    with drawing():
        figure = new_figure(_HEIGHT)
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("sum of the damages of its blocks, predicted, nats")
        axes.set_title("divergence of the whole INT8 model, measured, nats", pad=8)
        axes.grid()
        ends = [min(one.predicted_damage for one in shapes), max(one.predicted_damage for one in shapes)]
        axes.plot(ends, ends, color=SOFT, linewidth=1.2, zorder=1)
        for (name, mark), color in zip(kinds.items(), (ACCENT, BLUE, INK), strict=True):
            of = [one for one in shapes if MARKS.get(one.origin, "o") == mark]
            places = [one.predicted_damage for one in of], [one.divergence for one in of]
            axes.plot(*places, mark, color=color, markeredgecolor=PAPER, markersize=_MARK, label=name)
        axes.legend(frameon=False)
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return content.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reports", type=Path, nargs="+", help="search.json of each search")
    parser.add_argument("-o", "--output", type=Path, help="SVG file to write")
    options = parser.parse_args(arguments)
    try:
        shapes = built([ShapeSearch.read(path) for path in options.reports])
        if options.output is not None:
            write_text(options.output, figure_svg(shapes))
    except QuantkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(markdown(shapes, correlations(shapes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
