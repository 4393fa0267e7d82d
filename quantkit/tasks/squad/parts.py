"""The parts of a dataset that are scored on their own: SQuAD 2.0's questions with an answer, and those without."""

from quantkit.records.evaluation import HAS_ANSWER, NO_ANSWER
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.task import Dataset


def parts_of(dataset: Dataset) -> dict[str, tuple[int, ...]]:
    """Return part → places of its questions, less empty parts; nothing unless no answer is an answer there."""
    parts: dict[str, list[int]] = {HAS_ANSWER: [], NO_ANSWER: []}
    for place, question in enumerate(dataset.questions):
        if isinstance(question, SquadQuestion) and question.nullable:
            parts[NO_ANSWER if question.impossible else HAS_ANSWER].append(place)
    return {name: tuple(places) for name, places in parts.items() if places}
