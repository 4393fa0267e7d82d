"""Text as one model reads it: a tokenizer that is the model's, windows of token ids, and what its outputs say.

    artifact ──Reader.of──> Reader ──prepare(dataset)──> Prepared ──run──> outputs ──predict──> predictions

What stands here is the same for every task; a task is one file, see `quantkit.tasks.task.Task`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError
from quantkit.metrics.metric import Metric
from quantkit.metrics.of_tasks import metric_of
from quantkit.records.evaluation import UNSCORED
from quantkit.tasks import task
from quantkit.tasks.heads import unfit_head
from quantkit.tasks.lengths import lengths_of
from quantkit.tasks.sentence_similarity import is_scored
from quantkit.tasks.task import Dataset, Outputs, Prediction, Task, Window, WindowSettings
from quantkit.tasks.tokenizer import Tokenizer

_LARGEST = 1 << 31  # rows of a word embedding: more than any model has


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reader:
    """What makes windows of text for one model.

    Attributes:
        task: what the model does.
        tokenizer: its own.
        settings: of windows and answers, as the artifact says.
    """

    task: Task
    tokenizer: Tokenizer
    settings: WindowSettings = field(default_factory=WindowSettings)

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """Read an artifact's tokenizer, and check that it is the model's.

        Raises:
            UsageError: there is no such task.
            CheckpointError: the tokenizer is missing, or is not the model's.
            ArtifactError: its config.json has no vocab_size, or says that its head is for another task.
        """
        reader = cls(
            task=task(artifact.task), tokenizer=Tokenizer.load(artifact.path), settings=lengths_of(artifact)
        )
        config = artifact.config
        unfit = unfit_head(config, reader.task)
        if unfit is not None:
            raise ArtifactError(f"{artifact.path / 'config.json'}: {unfit}")
        size = config.get("vocab_size")
        if not isinstance(size, int) or size > _LARGEST:
            path = artifact.path / "config.json"
            raise ArtifactError(
                f"{path}: has no vocab_size that a model can have; use the model's own config.json"
            )
        reader.tokenizer.check_vocabulary(size)
        return reader

    def prepare(self, dataset: Dataset) -> "Prepared":
        """Return a dataset as the model reads it.

        Raises:
            UsageError: a length of the settings does not fit the model.
            DatasetError: a label that the model does not have.
        """
        rows = self.task.cut(dataset, self.tokenizer, self.settings)
        return Prepared(reader=self, dataset=dataset, rows=rows)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prepared:
    """A dataset as one model reads it.

    Attributes:
        reader: what made it.
        dataset: the questions.
        rows: their windows, in the order of the questions, never padded.
    """

    reader: Reader
    dataset: Dataset
    rows: Sequence[Window]

    @property
    def pad_id(self) -> int:
        """The token that fills a window up to its batch's length."""
        return self.reader.tokenizer.pad_id

    @property
    def lengths(self) -> list[int]:
        """Tokens of each window."""
        return [len(row.input_ids) for row in self.rows]

    @property
    def truncated(self) -> int | None:
        """How many questions or texts are too long to be read whole, None where the task does not say."""
        if any(row.truncated is None for row in self.rows):
            return None
        return len({row.question for row in self.rows if row.truncated})

    @property
    def scored(self) -> bool:
        """Whether there are right answers; of embeddings there may be none, and they are compared all the same."""
        return self.reader.task.outcome != "direction" or is_scored(self.dataset)

    @property
    def metric(self) -> Metric:
        """What makes one number of the predictions' measures."""
        task = self.reader.task
        return task.metric if self.scored else metric_of(task.name, UNSCORED)

    def name(self, index: int) -> str:
        """Return what people call a window."""
        return f"question {self.dataset.questions[self.rows[index].question].id}"

    def first(self, count: int) -> "Prepared":
        """Return the same with so many windows at most, for timing: what is left need not answer every question."""
        return replace(self, rows=self.rows[:count])

    def predict(self, outputs: Sequence[Outputs]) -> list[Prediction]:
        """Return one prediction per question; see `Task.predict`."""
        return self.reader.task.predict(self.dataset, self.rows, outputs, self.reader.settings)

    def expected_scores(self, outputs: Sequence[Outputs]) -> list[float]:
        """Return the score that each question may expect; see `Task.expected_scores`."""
        return self.reader.task.expected_scores(self.dataset, self.rows, outputs, self.reader.settings)
