"""Tasks: what a model does, from a file of questions to scored predictions."""

import difflib
from typing import cast

from quantkit.errors import UsageError
from quantkit.tables import TASKS
from quantkit.tasks.task import Dataset, Outputs, Prediction, Question, Task, Window, WindowSettings

__all__ = [
    "TASKS",
    "Dataset",
    "Question",
    "Window",
    "WindowSettings",
    "Outputs",
    "Prediction",
    "Task",
    "task",
]


def task(name: str) -> Task:
    """Return the task of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(TASKS)}"
        raise UsageError(f"{name!r} is not a task; {hint}")
    return cast(Task, TASKS.load(name))
