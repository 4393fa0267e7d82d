"""What calibration settles of choices that leave it open."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from quantkit.graph.linear import Linear
from quantkit.quantization.choice import Assignment, Choice, grouped
from quantkit.quantization.observe.statistics import Statistics


def settled(
    layers: Sequence[Linear], assignment: Assignment, statistics: Mapping[str, Statistics]
) -> dict[str, Choice]:
    """Return the assignment with every open treatment settled, or gone where it is not worth it.

    Layers that read one tensor by one choice decide together.

    Args:
        layers: every linear layer of the model.
        assignment: a choice for each.
        statistics: tensor name → statistics, of those that open choices read.
    """
    found = dict(assignment)
    for (tensor, choice), members in grouped(layers, assignment).items():
        if any(treatment.open for treatment in choice.treatments):
            seen = statistics[tensor]
            decided = [treatment.settled(members, seen, choice) for treatment in choice.treatments]
            treatments = tuple(treatment for treatment in decided if treatment is not None)
            found |= {layer.name: replace(choice, treatments=treatments) for layer in members}
    return found
