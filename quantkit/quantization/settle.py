"""What calibration settles of choices that leave it open: outlier channels, where they are worth it."""

from collections.abc import Sequence
from dataclasses import replace

from quantkit.graph.linear import Linear
from quantkit.quantization.apply import Assignment, grouped
from quantkit.quantization.choice import Choice
from quantkit.quantization.evidence import Evidence
from quantkit.quantization.outliers import worthwhile_counts

# More channels, or as many of fewer, can cost more time than the noise is worth; a search weighs that.
_OUTLIERS, _LEAST_CHANNELS = 8, 128


def settled(layers: Sequence[Linear], assignment: Assignment, evidence: Evidence) -> dict[str, Choice]:
    """Return the assignment with the number of outlier channels wherever it is open: eight, or none.

    Eight channels, of 128 or more, are multiplied in float where that leaves at most three quarters of the activation's
    rounding noise, as behind the GELUs of some layers. Layers that read one tensor by one choice decide together;
    a pooled head, which reads one vector a row, has none.

    Args:
        layers: every linear layer of the model.
        assignment: a choice for each.
        evidence: with statistics of what they read.
    """
    found = dict(assignment)
    for (tensor, choice), members in grouped(layers, assignment).items():
        if not choice.find_outliers:
            continue
        seen, matrices = evidence.statistics[tensor], [layer.matrix() for layer in members]
        roomy = len(seen.low) >= _LEAST_CHANNELS and not members[0].pooled
        counts = [_OUTLIERS] if roomy else []
        worthwhile = worthwhile_counts(seen, matrices, counts, smoothed=choice.smooth is not None)
        decided = replace(choice, outliers=max(worthwhile, default=0), find_outliers=False)
        found |= {layer.name: decided for layer in members}
    return found
