"""Which questions candidates are judged on: labelled, not calibrated on, and never the gate's."""

import logging
from pathlib import Path

from quantkit.errors import DatasetError, UsageError
from quantkit.recipe.settings import QuantizeSettings
from quantkit.tasks import Dataset
from quantkit.tasks.calibration_set import CalibrationSet, is_listed, select
from quantkit.tasks.datasets import load

# The gate's questions where nobody says otherwise: those that `evaluate` takes by default.
GATE_DATA = {"squad": "squad"}
_LOG = logging.getLogger(__name__)


def selection(
    settings: QuantizeSettings, task: str, calibration_set: CalibrationSet, data_dir: Path | None
) -> Dataset:
    """Return the selection questions.

    Those named by `auto.select`, or else more of what the calibration questions were chosen from. Questions that
    ranges were calibrated on are left out.

    Raises:
        UsageError: the calibration set is a public list, which has no more, and `auto.select` is not given.
        DatasetError: there are not enough questions, or some are the gate's.
    """
    wanted, calibrated = settings.auto.select_samples, set(calibration_set.ids)
    source = settings.auto.select or settings.calib
    assert source is not None
    if settings.auto.select is None and is_listed(source):
        raise UsageError(
            f"--select: is needed with --calib {source}, a list that has no further questions; "
            "give labelled questions that the gate does not use, such as squad-train or a file"
        )
    # As many more as could be left out.
    everything = select(source, task, None, data_dir, settings.seed, at_most=wanted + len(calibrated))
    left = [name for name in everything.ids if name not in calibrated][:wanted]
    if len(left) < min(wanted, 2):
        raise DatasetError(
            f"{source}: has {len(left)} questions besides the {len(calibrated)} calibrated on, and candidates are "
            f"judged on {wanted}; give another file with --select, or fewer with --select-samples"
        )
    _require_not_the_gates(settings, task, left, data_dir)
    return everything.dataset.only(left)


def _require_not_the_gates(
    settings: QuantizeSettings, task: str, ids: list[str], data_dir: Path | None
) -> None:
    named = settings.auto.gate_data
    name = named or GATE_DATA.get(task)
    if name is None:
        return
    try:
        gate = load(name, task, data_dir)
    except DatasetError as error:
        if named is not None:
            raise
        _LOG.warning("whether the selection holds questions of the gate (%s) is not known: %s", name, error)
        return
    shared = sorted({example.id for example in gate.examples}.intersection(ids))
    if shared:
        raise DatasetError(
            f"{settings.auto.select or settings.calib}: {len(shared)} of the {len(ids)} selection questions are the "
            f"gate's ({name}), such as {shared[0]}; choose others with --select, or name the gate's with --gate-data"
        )
