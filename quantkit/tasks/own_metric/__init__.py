"""A metric of the user's own: a Python function that scores answers in place of the task's metric.

Models are run, and their answers kept, as without it; the function then gets the answers. So a confined process never
runs it, and a cache never answers for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from quantkit.errors import UsageError
from quantkit.metrics.metric import measures_of, percent
from quantkit.metrics.own import Function, own_mean, own_scores
from quantkit.records import Evaluation, QuestionScore
from quantkit.records.evaluation import OwnMetricRecord, scores_digest
from quantkit.tasks.own_metric.source import Source, content_digest, find_source, loaded
from quantkit.tasks.own_metric.values import values_of
from quantkit.tasks.task import Dataset

__all__ = ["OwnMetric", "content_digest", "require_allowed"]


def require_allowed(named: str | None, *, allow_code: bool) -> None:
    """Refuse a metric of one's own that nobody allowed.

    Raises:
        UsageError: a function is named, and `allow_code` is false.
    """
    if named is not None and not allow_code:
        raise UsageError(
            f"metric {named}: would run Python code; read it, then allow it with --allow-code, or leave the metric out"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnMetric:
    """A function that is allowed to run, and has been loaded.

    Attributes:
        source: where it is, and its bytes.
        function: what is called.
    """

    source: Source
    function: Function

    @classmethod
    def allowed(cls, named: str | None, *, allow_code: bool) -> Self | None:
        """Load a function; None where none is named.

        Raises:
            UsageError: it is not allowed, and then nothing was looked for; or it is nowhere.
            EvaluationError: its file does not run, or does not have it.
        """
        require_allowed(named, allow_code=allow_code)
        if named is None:
            return None
        source = find_source(named)
        return cls(source=source, function=loaded(source))

    def scored(
        self, evaluation: Evaluation, dataset: Dataset, labels: Sequence[str], *, key: str
    ) -> Evaluation:
        """Return an evaluation of the same answers by this function.

        Args:
            evaluation: by the task's metric, with its scores.
            dataset: whose questions were answered.
            labels: the model's label names; empty where it has none.
            key: of all that decides the result.

        Raises:
            DatasetError: a question has no right answer.
            EvaluationError: the function cannot be used (`quantkit.metrics.own.own_scores`).
        """
        name = self.source.name
        found = own_scores(self.function, values_of(dataset, evaluation.scores, labels), name=name)
        scores = tuple(
            QuestionScore(
                id=score.id, group=score.group, answer=score.answer, exact_match=score.exact_match, f1=value
            )
            for score, value in zip(evaluation.scores, found.rows, strict=True)
        )
        metric = own_mean(name, chance=found.chance, by_row=found.by_row)
        return evaluation.model_copy(
            update={
                "key": key,
                "metric": name,
                "f1": percent(metric, measures_of(scores)),
                "own_metric": OwnMetricRecord(
                    file=self.source.path.name,
                    sha256=self.source.sha256,
                    by_row=found.by_row,
                    chance=found.chance,
                ),
                "parts": {},
                "best_threshold": None,
                "predictions_sha256": scores_digest(scores),
                "scores": scores,
            }
        )
