"""Questions: what a student learns on, and the selection that the best weights are chosen by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quantkit.errors import DatasetError
from quantkit.exam.overlap import gate_questions, require_not_the_gates
from quantkit.recipe.distill_settings import DistillSettings
from quantkit.tasks import Dataset
from quantkit.tasks.calibration_set import by_hash, select
from quantkit.tasks.datasets import load

_ADVICE = "a model that has learned them proves nothing by answering them: give other data, or name the gate's with "
_GATE = "--gate-data"


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """The questions of a distillation.

    Attributes:
        training: learned on, by dataset.
        selection: never learned on.
    """

    training: tuple[Dataset, ...]
    selection: tuple[Dataset, ...]


def choose_questions(settings: DistillSettings, task: str, data_dir: Path | None) -> Questions:
    """Read the data, and take the selection out of it where no other is named.

    Raises:
        DatasetError: data is nowhere, is the gate's in part, or nothing is left to learn on.
    """
    data = [load(name, task, data_dir) for name in settings.data]
    gate = gate_questions(task, settings.gate_data, data_dir, what="data")
    for name, dataset in zip(settings.data, data, strict=True):
        require_not_the_gates(dataset.questions, gate, source=name, what="questions", advice=_ADVICE + _GATE)
    if settings.select is None:
        return _split(data, settings)
    chosen = select(
        settings.select, task, None, data_dir, settings.seed, at_most=settings.select_questions
    ).dataset
    require_not_the_gates(
        chosen.questions,
        gate,
        source=settings.select,
        what="selection questions",
        advice=f"choose others with --select, or name the gate's with {_GATE}",
    )
    left = [_without(dataset, {question.id for question in chosen.questions}) for dataset in data]
    return _left(left, (chosen,), settings)


def _split(data: Sequence[Dataset], settings: DistillSettings) -> Questions:
    """Take the selection out of the data, by hash: from all datasets together, as many as each has its share."""
    ids = by_hash((question.id for dataset in data for question in dataset.questions), settings.seed)
    chosen = set(ids[: settings.select_questions])
    selection = [
        dataset.only(question.id for question in dataset.questions if question.id in chosen)
        for dataset in data
        if any(question.id in chosen for question in dataset.questions)
    ]
    return _left([_without(dataset, chosen) for dataset in data], selection, settings)


def _without(dataset: Dataset, ids: set[str]) -> Dataset | None:
    if all(question.id in ids for question in dataset.questions):
        return None
    return dataset.without(ids)


def _left(
    training: Sequence[Dataset | None], selection: Sequence[Dataset], settings: DistillSettings
) -> Questions:
    left = tuple(dataset for dataset in training if dataset is not None)
    if not left:
        raise DatasetError(
            f"{settings.data[0]}: no question is left to learn on, as all are among the "
            f"{settings.select_questions} of the selection; give more data, or fewer --select-questions"
        )
    return Questions(training=left, selection=tuple(selection))
