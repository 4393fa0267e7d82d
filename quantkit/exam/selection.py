"""Which questions candidates are judged on: labelled, not calibrated on, and never the gate's."""

import logging
from dataclasses import dataclass
from pathlib import Path

from quantkit.errors import DatasetError, UsageError
from quantkit.tasks import Dataset
from quantkit.tasks.calibration_set import CalibrationSet, is_listed, select
from quantkit.tasks.datasets import load

# The gate's questions where nobody says otherwise: those that `evaluate` takes by default.
GATE_DATA = {"squad": "squad"}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionRequest:
    """What is asked of a selection.

    Attributes:
        task: name of the task.
        calib: what the calibration questions were chosen from.
        select: what the selection is chosen from; None: more of `calib`.
        questions: how many.
        gate_data: the gate's questions, which may not be among them; None: the task's, if it has any.
        seed: of the choice.
    """

    task: str
    calib: str
    select: str | None
    questions: int
    gate_data: str | None
    seed: int

    @property
    def source(self) -> str:
        """What the questions are chosen from."""
        return self.select or self.calib


def select_questions(
    asked: SelectionRequest, calibration_set: CalibrationSet, data_dir: Path | None
) -> Dataset:
    """Return the selection questions; those that ranges were calibrated on are left out.

    Raises:
        UsageError: the calibration set is a public list, which has no more, and no `select` is given.
        DatasetError: there are not enough questions, or some are the gate's.
    """
    wanted, calibrated = asked.questions, set(calibration_set.ids)
    if asked.select is None and is_listed(asked.calib):
        raise UsageError(
            f"--select: is needed with --calib {asked.calib}, a list that has no further questions; "
            "give labelled questions that the gate does not use, such as squad-train or a file"
        )
    # As many more as could be left out.
    everything = select(
        asked.source, asked.task, None, data_dir, asked.seed, at_most=wanted + len(calibrated)
    )
    left = [name for name in everything.ids if name not in calibrated][:wanted]
    if len(left) < min(wanted, 2):
        raise DatasetError(
            f"{asked.source}: has {len(left)} questions besides the {len(calibrated)} calibrated on, and candidates "
            f"are judged on {wanted}; give another file with --select, or fewer with --select-questions"
        )
    _require_not_the_gates(asked, left, data_dir)
    return everything.dataset.only(left)


def _require_not_the_gates(asked: SelectionRequest, ids: list[str], data_dir: Path | None) -> None:
    name = asked.gate_data or GATE_DATA.get(asked.task)
    if name is None:
        return
    try:
        gate = load(name, asked.task, data_dir)
    except DatasetError as error:
        if asked.gate_data is not None:
            raise
        _LOG.warning("whether the selection holds questions of the gate (%s) is not known: %s", name, error)
        return
    shared = sorted({question.id for question in gate.questions}.intersection(ids))
    if shared:
        raise DatasetError(
            f"{asked.source}: {len(shared)} of the {len(ids)} selection questions are the gate's ({name}), "
            f"such as {shared[0]}; choose others with --select, or name the gate's with --gate-data"
        )
