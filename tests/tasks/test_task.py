"""The table of tasks, and parts of datasets."""

from pathlib import Path

import pytest

from quantkit.errors import DatasetError, UsageError
from quantkit.tasks import TASKS, Dataset, Question, task


@pytest.fixture
def dataset() -> Dataset:
    """Return a dataset of three questions."""
    questions = tuple(Question(id=name, group=name) for name in "abc")
    return Dataset(name="d", path=Path("d.json"), digest="1", source="1", task="squad", questions=questions)


def ids(dataset: Dataset) -> str:
    """Return the ids in one word."""
    return "".join(question.id for question in dataset.questions)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_of_the_table_loads(name: str) -> None:
    """Each line of the table names a module with that task."""
    assert name == task(name).name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sqaud", "did you mean 'squad'?"),
        ("zzz", "choose one of squad, text-classification"),
    ],
)
def test_an_unknown_task_has_a_hint(name: str, hint: str) -> None:
    """A mistyped task is answered with the nearest name, or all of them."""
    with pytest.raises(UsageError, match=hint.replace("?", r"\?")):
        task(name)


def test_parts_keep_what_was_asked_for(dataset: Dataset) -> None:
    """`without` keeps the order, `only` takes the order of the ids, `limit` the first ones."""
    assert ids(dataset.without(["b", "unknown"])) == "ac"
    assert ids(dataset.only(["c", "a"])) == "ca"
    assert ids(dataset.limit(2)) == "ab"


def test_the_digest_says_which_questions_are_meant(dataset: Dataset) -> None:
    """The same part has the same digest however it was made; a whole is no part; order and source count."""
    assert dataset.limit(2).digest == dataset.without(["c"]).digest == dataset.only(["a", "b"]).digest
    assert dataset.limit(1).digest == dataset.without(["c"]).without(["b"]).digest
    assert dataset.digest == dataset.limit(3).digest == dataset.limit(99).digest == dataset.without([]).digest
    digests = {dataset.digest, dataset.limit(2).digest, dataset.limit(1).digest, dataset.only("ba").digest}
    assert len(digests) == 4
    assert dataset.source == dataset.limit(2).source


def test_empty_parts_are_errors(dataset: Dataset) -> None:
    """A dataset is never empty, and ids that are chosen must be there, once."""
    with pytest.raises(DatasetError, match="no question is left of 3; choose"):
        dataset.without("abc")
    with pytest.raises(DatasetError, match="no question is left of 3; choose"):
        dataset.only([])
    with pytest.raises(DatasetError, match="has no question 'x'; choose"):
        dataset.only(["x"])
    with pytest.raises(DatasetError, match="'a' was chosen twice; name"):
        dataset.only(["a", "a"])
    with pytest.raises(DatasetError, match="a limit of 0 leaves no question; give"):
        dataset.limit(0)
