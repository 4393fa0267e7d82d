"""The treatments, in the order in which they are done. A further one is a file, a line here, and its setting."""

from collections.abc import Iterable

from quantkit.quantization.choice import Treatment
from quantkit.quantization.treatments.outliers import Outliers
from quantkit.quantization.treatments.shift import Shift
from quantkit.quantization.treatments.smooth import Smooth
from quantkit.quantization.treatments.split import Split
from quantkit.quantization.treatments.whole_model import ModelTreatment

WHOLE_MODEL: tuple[type[ModelTreatment], ...] = (Shift,)
"""Decided once for a model."""
TREATMENTS: tuple[type[Treatment], ...] = (Split, Outliers, Smooth)
"""Parts of a choice, decided for the layers that read one tensor; each sees what those before leave."""
BY_SETTING: dict[str, type[Treatment]] = {kind.setting: kind for kind in TREATMENTS}


def in_order(treatments: Iterable[Treatment]) -> tuple[Treatment, ...]:
    """Return treatments in the order of the table."""
    return tuple(sorted(treatments, key=lambda treatment: TREATMENTS.index(type(treatment))))
