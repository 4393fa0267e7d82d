"""Which questions are the gate's: none of them may be learned on, calibrated on or selected by."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from quantkit.errors import DatasetError
from quantkit.tasks import Dataset, Question
from quantkit.tasks.datasets import load

# The gate's questions where nobody says otherwise: those that `evaluate` takes by default.
GATE_DATA = {"squad": "squad"}
_LOG = logging.getLogger(__name__)


def gate_questions(task: str, asked: str | None, data_dir: Path | None, *, what: str) -> Dataset | None:
    """Return the gate's questions.

    Args:
        task: the name of the task.
        asked: their dataset; None: the task's own, if it has any, and is here.
        data_dir: looked into first.
        what: what may not hold them, for the warning that this is not known.

    Raises:
        DatasetError: the dataset that was asked for is nowhere.
    """
    name = asked or GATE_DATA.get(task)
    if name is None:
        return None
    try:
        return dataclasses.replace(load(name, task, data_dir), name=name)
    except DatasetError as error:
        if asked is not None:
            raise
        _LOG.warning("whether the %s holds questions of the gate (%s) is not known: %s", what, name, error)
        return None


def require_not_the_gates(
    questions: Sequence[Question], gate: Dataset | None, *, source: str, what: str, advice: str
) -> None:
    """Check that none of the questions is the gate's, by its id.

    Args:
        questions: what is used.
        gate: the gate's questions, if they are known.
        source: where the questions are from, for the message.
        what: what they are used for, such as "selection questions".
        advice: what to do, the end of the message.

    Raises:
        DatasetError: some are; it names one.
    """
    if gate is None:
        return
    ids = {question.id for question in gate.questions}
    shared = sorted(question.id for question in questions if question.id in ids)
    if shared:
        raise DatasetError(
            f"{source}: {len(shared)} of the {len(questions)} {what} are the gate's ({gate.name}), "
            f"such as {shared[0]}; {advice}"
        )
