"""Extractive question answering, scored as SQuAD v1.1, or as 2.0 where questions have no answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from quantkit.metrics.distributions import Outcome
from quantkit.metrics.of_tasks import metric_of
from quantkit.tasks.squad.answers import OUTPUTS, expected_scores, predict
from quantkit.tasks.squad.cutting import SquadWindow, cut
from quantkit.tasks.squad.labels import right
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.squad.read import read_squad
from quantkit.tasks.task import Dataset, Outputs, Prediction, Right, Window, WindowSettings
from quantkit.tasks.tokenizer import Tokenizer

__all__ = ["TASK", "Squad", "SquadQuestion", "SquadWindow"]


class Squad:
    """The task `squad`; see `quantkit.tasks.task.Task`."""

    name = "squad"
    outputs = OUTPUTS
    head = "ForQuestionAnswering"
    metric = metric_of("squad")
    per_token = True
    outcome: Outcome = "choice"
    per_label = False

    def read(self, path: Path, name: str, columns: Mapping[str, str] | None = None) -> Dataset:
        """Read a file in SQuAD format, or rows; see `read_squad`."""
        return read_squad(path, name, columns)

    def cut(self, dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
        """Return the windows of every question; see `quantkit.tasks.squad.cutting`."""
        return cut(dataset, tokenizer, settings)

    def right(self, dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
        """Return where the first answer stands in each window; see `quantkit.tasks.squad.labels`."""
        return right(dataset, windows)

    def predict(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,
    ) -> list[Prediction]:
        """Return the best span of each question; see `quantkit.tasks.squad.answers`."""
        return predict(dataset, windows, outputs, settings)

    def expected_scores(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,
    ) -> list[float]:
        """Return each question's expected F1; see `quantkit.tasks.squad.answers`."""
        return expected_scores(dataset, windows, outputs, settings)


TASK = Squad()
