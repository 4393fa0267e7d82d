"""Predicted damage against what was measured of whole INT8 models: in how far sums over blocks order candidates.

    python benchmarks/predicted_damage.py found-1/search.json found-2/search.json …

Takes the reports of any number of searches of one teacher on the same questions, such as for 1.25, 1.5 and 2 times the
throughput. Of every shape that one of them built, as found or as a baseline, it prints what the damages of its blocks
add up to, before anything was built, and what the INT8 model then was on the selection; and the rank correlation of the
two. Shapes whose units were chosen by magnitude are left out: no prediction is about them.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from quantkit.errors import QuantkitError, UsageError
from quantkit.records import ShapeSearch
from quantkit.records.shapes import ShapeCandidate
from quantkit.shapes.record import rank_correlation

_NOT_PREDICTED = ("teacher", "uniform by magnitude")


def built(reports: Sequence[ShapeSearch]) -> list[ShapeCandidate]:
    """Return each shape that was built and has a prediction, once, the least damage first.

    Raises:
        UsageError: the searches are not of one teacher on the same questions.
    """
    if len({(one.teacher, one.data_digest, one.selection_digest) for one in reports}) > 1:
        raise UsageError("the searches are not of one teacher on the same questions; give those that are")
    shapes = {
        (one.heads, one.feed_forward): one
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
        heads, widths = (" ".join(map(str, counts)) for counts in (one.heads, one.feed_forward))
        lines.append(
            f"| {heads} | {widths} | {one.origin} | {one.predicted_damage:.3f} | {one.divergence:.3f} | "
            f"{100 * one.expected_ratio:.1f} % | {100 * one.ratio:.1f} % |"
        )
    said = ", ".join(f"{value:.3f} with {name}" for name, value in found.items())
    return "\n".join([*lines, "", f"{len(shapes)} shapes; rank correlation of the predicted damage: {said}"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reports", type=Path, nargs="+", help="search.json of each search")
    options = parser.parse_args(arguments)
    try:
        shapes = built([ShapeSearch.read(path) for path in options.reports])
    except QuantkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(markdown(shapes, correlations(shapes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
