"""What calibration settles of choices that leave it open: outlier and split channels, where they are worth it."""

from collections.abc import Sequence
from dataclasses import replace

from quantkit.graph.channels import private_channels
from quantkit.graph.linear import Linear
from quantkit.quantization.choice import Choice
from quantkit.quantization.observe.evidence import Evidence
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.outliers import worthwhile_counts
from quantkit.quantization.treatments.split import COPIES, sticks_out
from quantkit.quantization.write.apply import Assignment, grouped

_OUTLIERS = 8
# Elsewhere they can cost more time than the noise is worth; a search weighs that. The Slice and the product of eight
# are small beside the integer product where there are many channels, and their sum where there are fewer outputs.
_LEAST_CHANNELS, _LEAST_PER_OUTPUT = 128, 2


def settled(layers: Sequence[Linear], assignment: Assignment, evidence: Evidence) -> dict[str, Choice]:
    """Return the assignment with the number of outlier channels and of copies wherever it is open.

    Eight channels are multiplied in float where that leaves at most three quarters of the activation's rounding noise,
    and there are 128 channels or more, at least two for each output: behind the GELUs of some layers. A pooled head,
    which reads one vector a row, has none.

    Sixteen copies of channels are made where one alone would take four of them, and the layer before can make them:
    between two linear layers, where nobody else reads the tensor.

    Layers that read one tensor by one choice decide together.

    Args:
        layers: every linear layer of the model.
        assignment: a choice for each.
        evidence: with statistics of what they read.
    """
    found = dict(assignment)
    for (tensor, choice), members in grouped(layers, assignment).items():
        if not choice.find_outliers and not choice.find_split:
            continue
        seen = evidence.statistics[tensor]
        decided = replace(
            choice,
            outliers=_outliers(choice, members, seen) if choice.find_outliers else choice.outliers,
            split=_copies(members, seen) if choice.find_split else choice.split,
            find_outliers=False,
            find_split=False,
        )
        found |= {layer.name: decided for layer in members}
    return found


def _outliers(choice: Choice, members: Sequence[Linear], seen: Statistics) -> int:
    """Return eight, or none."""
    matrices = [layer.matrix() for layer in members]
    least = max(_LEAST_CHANNELS, _LEAST_PER_OUTPUT * sum(matrix.shape[1] for matrix in matrices))
    counts = [_OUTLIERS] if len(seen.low) >= least and not members[0].pooled else []
    return max(worthwhile_counts(seen, matrices, counts, smoothed=choice.smooth is not None), default=0)


def _copies(members: Sequence[Linear], seen: Statistics) -> int:
    """Return sixteen, or none."""
    free = private_channels(members[0].activation, [layer.node for layer in members]) is not None
    return COPIES if free and sticks_out(seen, [layer.matrix() for layer in members], COPIES) else 0
