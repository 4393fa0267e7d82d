"""Which task a sequence classifier's head is for: one label of several, any number of labels, or one number.

Such checkpoints have the same class, the same weights' names and the same graph, and only config.json tells. Scored as
another task, a model would pass any gate: of one logit the highest is always the right one.
"""

from collections.abc import Collection, Mapping
from typing import Any, cast

from quantkit.errors import UsageError
from quantkit.tables import TASKS
from quantkit.tasks.task import Task

CHOOSES_A_LABEL = "ForSequenceClassification"
_SINGLE_LABEL, _MULTI_LABEL, _REGRESSION = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)
_OUTCOMES = {_SINGLE_LABEL: "choice", _MULTI_LABEL: "flags", _REGRESSION: "number"}
_GIVES = {
    "choice": "a head that chooses one label of several",
    "flags": "a head that gives a text any number of labels",
    "number": "a head that gives a text a number",
}


def require_head(task: str, command: str) -> None:
    """Refuse an encoder alone, for what works on a head's answers.

    Args:
        task: its name.
        command: that needs a head.

    Raises:
        UsageError: the task's models have no head.
    """
    if _task(task).outcome == "direction":
        raise UsageError(
            f"{command}: {task} has no head to learn or lose answers by; give a checkpoint with one"
        )


def unfit_head(config: Mapping[str, Any], task: Task, rows: int | None = None) -> str | None:
    """Return why a checkpoint's head is not for a task, and what to do, in words; None when it may be for it.

    Where config.json is silent, several labels may be a choice or flags, as the task says.

    Args:
        config: the checkpoint's config.json.
        task: that was asked for.
        rows: how many numbers the head gives, where its weight or its outputs were seen.
    """
    if task.head != CHOOSES_A_LABEL:
        return None
    said = config.get("problem_type")
    count = _count(config) if rows is None else rows
    if said is not None and not (isinstance(said, str) and said in _OUTCOMES):
        what = "no head that transformers knows" if isinstance(said, str) else "no text"
        return f"problem_type is {said!r}, {what}; mend config.json"
    outcome = "number" if count == 1 and said != _MULTI_LABEL else _OUTCOMES.get(str(said))
    if outcome == "number" and (count or 1) > 1:
        return f"problem_type is {said!r} with {count} labels, and no task scores several numbers; give a model of one"
    if outcome is None:
        silent = task.outcome != "number" or count is None
        what = f"it has {count} labels, and {task.name} needs a head that gives a number"
        return None if silent else f"{what}: take --task {_others('choice')}"
    if outcome == task.outcome:
        return None
    what = "it has one label" if said is None else f"problem_type is {said!r}"
    return f"{what}, {_GIVES[outcome]}; for {task.name} it is no use: take --task {_others(outcome)}"


def _count(config: Mapping[str, Any]) -> int | None:
    """Return how many labels config.json says there are, None where it does not."""
    labels = config.get("id2label")
    counts = [config.get("num_labels"), len(labels) if isinstance(labels, Mapping) and labels else None]
    known = [count for count in counts if isinstance(count, int) and not isinstance(count, bool)]
    return min(known, default=None)


def label_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a model's labels by index, as its config.json has them; empty where it names none."""
    names = config.get("id2label")
    if not isinstance(names, Mapping):
        return ()
    return tuple(str(names.get(str(index), index)) for index in range(len(names)))


def tasks_of(heads: Collection[str]) -> list[str]:
    """Return the tasks that checkpoints with one of these heads are for."""
    return [name for name in TASKS if _task(name).head in heads]


def fitting(config: Mapping[str, Any], heads: Collection[str]) -> str:
    """Return the task that a checkpoint with one of these heads is for, as an option's value; `a or b` for several.

    Args:
        config: the checkpoint's config.json.
        heads: that it has, as transformers' classes end; at least one of a task.
    """
    names = [
        name for name in TASKS if (found := _task(name)).head in heads and unfit_head(config, found) is None
    ]
    numbers = [name for name in names if _task(name).outcome == "number"]
    return " or ".join(numbers if numbers == names else names[:1]) or next(
        name for name in TASKS if _task(name).head in heads
    )


def _others(outcome: str) -> str:
    """Return the tasks for a head, as an option's values."""
    names = [
        name for name in TASKS if (found := _task(name)).head == CHOOSES_A_LABEL and found.outcome == outcome
    ]
    return " or ".join(names)


def _task(name: str) -> Task:
    return cast(Task, TASKS.load(name))
