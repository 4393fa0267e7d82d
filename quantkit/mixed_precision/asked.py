"""Asked: what the settings of mode auto ask of the search, and which of them it refuses."""

from pathlib import Path

from quantkit.errors import UsageError
from quantkit.exam.selection import SelectionRequest, select_questions
from quantkit.quantization.treatments import TREATMENTS, WHOLE_MODEL
from quantkit.recipe.settings import QuantizeSettings
from quantkit.tasks import Dataset
from quantkit.tasks.calibration_set import CalibrationSet

_SEARCHED = (
    "plain",
    *(kind.setting for kind in reversed(TREATMENTS)),
    *(kind.setting for kind in WHOLE_MODEL),
    "calib_method",
    "percentile",
    "rounding",
    "bias_correction",
    "symmetric",
    "schemes",
)


def require_open(settings: QuantizeSettings) -> None:
    """Refuse settings that the search would overrule.

    Raises:
        UsageError: there is one.
    """
    usual = QuantizeSettings(mode="auto")
    fixed = [name for name in _SEARCHED if getattr(settings, name) != getattr(usual, name)]
    if fixed:
        raise UsageError(f"{fixed[0]}: mode auto chooses it for each group of layers; leave it out")


def selection(
    settings: QuantizeSettings, task: str, calibration_set: CalibrationSet, data_dir: Path | None
) -> Dataset:
    """Return the selection questions: those named by `auto.select`, or else more of the calibration questions' source.

    Raises:
        UsageError: the calibration set is a public list, which has no more, and `auto.select` is not given.
        DatasetError: there are not enough questions, or some are the gate's.
    """
    assert settings.calib is not None
    asked = SelectionRequest(
        task=task,
        calib=settings.calib,
        select=settings.auto.select,
        questions=settings.auto.select_questions,
        gate_data=settings.auto.gate_data,
        seed=settings.seed,
    )
    return select_questions(asked, calibration_set, data_dir)
