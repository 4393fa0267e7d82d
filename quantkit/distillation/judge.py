"""Judge: the score on the selection, by the task's own scoring of what torch answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from quantkit.distillation.encoder import Encoder
from quantkit.distillation.rows import Rows, pad
from quantkit.metrics.metric import measures_of, percent
from quantkit.runtime.batching import token_budget_batches
from quantkit.tasks import Dataset, Outputs, Prediction, Task, WindowSettings
from quantkit.tasks.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """How a model does on the selection, in percent.

    Attributes:
        f1: the task's metric.
        expected: mean expected F1, which feels every change of the logits.
    """

    f1: float
    expected: float


class Judge:
    """The selection's questions, cut once."""

    def __init__(
        self, datasets: Sequence[Dataset], task: Task, tokenizer: Tokenizer, settings: WindowSettings
    ) -> None:
        """Cut the questions.

        Args:
            datasets: parts of the selection.
            task: what the models do.
            tokenizer: theirs.
            settings: how long rows are.
        """
        self._task = task
        self._settings = settings
        self._parts = [
            (
                dataset,
                Rows(windows=task.cut(dataset, tokenizer, self._settings), right=(), pad_id=tokenizer.pad_id),
            )
            for dataset in datasets
        ]

    @property
    def questions(self) -> int:
        """How many there are."""
        return sum(len(dataset.questions) for dataset, _ in self._parts)

    def score(self, encoder: Encoder, token_budget: int) -> Score:
        """Let a model answer, with products as in the training: in bfloat16 that is four times as fast.

        Raises:
            EvaluationError: a logit is NaN or infinite.
        """
        answers: list[Prediction] = []
        expected: list[float] = []
        for dataset, rows in self._parts:
            outputs = _answers(encoder, rows, token_budget, per_token=self._task.per_token)
            answers += self._task.predict(dataset, rows.windows, outputs, self._settings)
            expected += self._task.expected_scores(dataset, rows.windows, outputs, self._settings)
        score = percent(self._task.metric, measures_of(answers))
        return Score(f1=score, expected=100 * sum(expected) / len(expected))


def _answers(encoder: Encoder, rows: Rows, token_budget: int, *, per_token: bool) -> list[Outputs]:
    lengths = rows.lengths
    answers: list[Outputs] = [()] * len(lengths)
    for batch in token_budget_batches(lengths, token_budget):
        found = encoder.answer(encoder.place(pad(rows, batch.indices)))
        arrays = [output.to("cpu", torch.float32).numpy() for output in found]
        for place, row in enumerate(batch.indices):
            answers[row] = tuple(
                array[place, : lengths[row]] if per_token else array[place] for array in arrays
            )
    return answers
