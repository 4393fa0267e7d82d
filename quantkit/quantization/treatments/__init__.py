"""Treatments: what is done to the channels of a tensor before they are rounded.

Each is a file with one face (`quantkit.quantization.choice`). A `Treatment` says what it does not go with, decides what
to do to a tensor, and knows what that costs and which kernel must run then. Its `Decision` gives values, weights and
statistics as the layers see them, and rewrites the graph. A further one is a file, a line below, and its field in the
settings.

`settled` settles what a choice leaves open, `Treated` holds what is made of one model's observations.
"""

from collections.abc import Iterable

from quantkit.quantization.choice import Treatment
from quantkit.quantization.treatments.outliers import Outliers
from quantkit.quantization.treatments.reading import Inputs, Reading, rounded_to
from quantkit.quantization.treatments.settle import settled
from quantkit.quantization.treatments.shift import Shift
from quantkit.quantization.treatments.smooth import Smooth
from quantkit.quantization.treatments.split import Split
from quantkit.quantization.treatments.treated import Treated, treat
from quantkit.quantization.treatments.whole_model import ModelTreatment

WHOLE_MODEL: tuple[type[ModelTreatment], ...] = (Shift,)
"""Decided once for a model, whatever the choices are; done before the others."""

TREATMENTS: tuple[type[Treatment], ...] = (
    Split,
    Outliers,
    Smooth,
)
"""Parts of a choice, decided for the layers that read one tensor; each sees what those before it leave."""

BY_SETTING: dict[str, type[Treatment]] = {kind.setting: kind for kind in TREATMENTS}

__all__ = [
    "BY_SETTING",
    "TREATMENTS",
    "WHOLE_MODEL",
    "Inputs",
    "Outliers",
    "Reading",
    "Shift",
    "Smooth",
    "Split",
    "Treated",
    "in_order",
    "rounded_to",
    "settled",
    "treat",
]


def in_order(treatments: Iterable[Treatment]) -> tuple[Treatment, ...]:
    """Return treatments in the order of the table."""
    return tuple(sorted(treatments, key=lambda treatment: TREATMENTS.index(type(treatment))))
