"""Metrics: one number of all questions' measures, the same for counts of draws as for questions repeated."""

import numpy as np
import pytest

from quantkit.metrics.metric import CountedF1, Mean, Metric, changed, measures_of, percent
from quantkit.metrics.of_tasks import METRICS, metric_of
from quantkit.records import QuestionScore

ENTITIES = metric_of("token-classification")
MEASURES = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])


def test_counted_f1_is_of_sums_and_not_the_mean_of_questions() -> None:
    """2 tp / (2 tp + fp + fn) of 3, 1 and 3: 6 / 10, where the mean of questions would be 0.6 of others."""
    assert ENTITIES.of(MEASURES) == 0.6


@pytest.mark.parametrize("metric", [Mean(name="m"), ENTITIES])
def test_weights_are_repetitions(metric: Metric) -> None:
    """A question of weight 2 counts as if it were there twice, and of weight 0 as if it were not."""
    measures = MEASURES / MEASURES.max() if isinstance(metric, Mean) else MEASURES
    drawn = metric.of(measures, np.array([2.0, 0.0, 1.0]))
    assert drawn == pytest.approx(metric.of(measures[[0, 0, 2]]), abs=1e-15)


def test_nothing_to_find_is_nothing_found() -> None:
    """Without an entity anywhere there is no F1: 0, as seqeval says."""
    assert ENTITIES.of(np.zeros((2, 3))) == 0.0


@pytest.mark.parametrize(
    ("measures", "fault"),
    [
        ([[1.0, 0.0]], "has 2 measures of a question, and not 3"),
        ([[0.5, 0.0, 0.0]], "has measures that are no counts"),
        ([[-1.0, 0.0, 0.0]], "has measures that are no counts"),
        ([[1.0, 0.0, 0.0]], None),
    ],
)
def test_measures_that_no_task_gives_are_told(measures: list[list[float]], fault: str | None) -> None:
    """Evidence is not believed: what is no count is a fault."""
    assert ENTITIES.fault(np.array(measures)) == fault


def _score(answer: str, f1: float, measures: tuple[float, ...] = ()) -> QuestionScore:
    return QuestionScore(id="1", group="1", answer=answer, exact_match=0.0, f1=f1, measures=measures)


def test_a_score_without_measures_measures_itself() -> None:
    """F1 is the one measure of the tasks that have no other, and their files do not name measures."""
    assert measures_of([_score("a", 0.5)]).tolist() == [[0.5]]
    assert "measures" not in _score("a", 0.5).model_dump(mode="json")
    assert _score("a", 0.5, (1.0, 0.0)).model_dump(mode="json")["measures"] == [1.0, 0.0]


def test_what_changed_is_the_metric_s_to_say() -> None:
    """A mean looks at scores, counted F1 at answers: a wrong entity that became another wrong one is a change."""
    one, other = [_score("PER 0-1", 0.0)], [_score("LOC 0-1", 0.0)]
    assert changed(Mean(name="m"), one, other) == 0.0
    assert changed(ENTITIES, one, other) == 1.0


def test_percent_of_a_mean_is_what_it_always_was() -> None:
    """100 * sum / n, in that order: evidence from before metrics had names gives the same last digit."""
    scores = np.array([[1 / 3], [0.1], [0.7]])
    assert percent(Mean(name="m"), scores) == 100 * (1 / 3 + 0.1 + 0.7) / 3


def test_old_evaluations_name_f1_for_every_task() -> None:
    """Before metrics had names everything was called F1; a name that a task does not have is refused."""
    assert metric_of("text-classification", "F1").name == "accuracy"
    assert metric_of("squad").name == "F1"
    with pytest.raises(KeyError):
        metric_of("squad", "accuracy")


def test_every_task_has_a_metric() -> None:
    """Names are unique within a task."""
    for metrics in METRICS.values():
        assert len({metric.name for metric in metrics}) == len(metrics)
    assert isinstance(ENTITIES, CountedF1)
