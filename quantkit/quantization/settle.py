"""What calibration settles of choices that leave it open: outlier channels, where they are worth it."""

from collections.abc import Sequence
from dataclasses import replace

from quantkit.graph.linear import Linear
from quantkit.quantization.apply import Assignment, grouped
from quantkit.quantization.choice import Choice
from quantkit.quantization.evidence import Evidence
from quantkit.quantization.outliers import worthwhile_counts

_OUTLIERS = 8
# Elsewhere they can cost more time than the noise is worth; a search weighs that. The Gather and the product of eight
# are small beside the integer product where there are many channels, and their sum where there are fewer outputs.
_LEAST_CHANNELS, _LEAST_PER_OUTPUT = 128, 2


def settled(layers: Sequence[Linear], assignment: Assignment, evidence: Evidence) -> dict[str, Choice]:
    """Return the assignment with the number of outlier channels wherever it is open: eight, or none.

    Eight channels are multiplied in float where that leaves at most three quarters of the activation's rounding noise,
    and there are 128 channels or more, at least two for each output: behind the GELUs of some layers. Layers that read
    one tensor by one choice decide together; a pooled head, which reads one vector a row, has none.

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
        least = max(_LEAST_CHANNELS, _LEAST_PER_OUTPUT * sum(matrix.shape[1] for matrix in matrices))
        counts = [_OUTLIERS] if len(seen.low) >= least and not members[0].pooled else []
        worthwhile = worthwhile_counts(seen, matrices, counts, smoothed=choice.smooth is not None)
        decided = replace(choice, outliers=max(worthwhile, default=0), find_outliers=False)
        found |= {layer.name: decided for layer in members}
    return found
