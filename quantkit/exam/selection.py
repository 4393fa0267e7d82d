"""Which questions candidates are judged on: labelled, not calibrated on, and never the gate's."""

from dataclasses import dataclass
from pathlib import Path

from quantkit.errors import DatasetError, UsageError
from quantkit.exam.overlap import gate_questions, require_not_the_gates
from quantkit.tasks import Dataset
from quantkit.tasks.calibration_set import CalibrationSet, is_listed, select


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
    chosen = everything.dataset.only(left)
    gate = gate_questions(asked.task, asked.gate_data, data_dir, what="selection")
    require_not_the_gates(
        chosen.questions,
        gate,
        source=asked.source,
        what="selection questions",
        advice="choose others with --select, or name the gate's with --gate-data",
    )
    return chosen
