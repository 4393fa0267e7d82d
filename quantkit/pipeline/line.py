"""The line: a recipe, where it runs, and what its steps have made so far; `steps` has the order."""

from typing import Any

from quantkit.artifact import Artifact
from quantkit.mixed_precision.asked import selection
from quantkit.pinned import DATASETS
from quantkit.pipeline.judging import gather
from quantkit.pipeline.stages import Published
from quantkit.pipeline.work import WorkFolder
from quantkit.recipe.settings import QuantizeSettings, Recipe
from quantkit.records import BenchReport, Evaluation, GateReport, Inspection
from quantkit.stages.export import Source
from quantkit.stages.gate import GateEvidence
from quantkit.tasks.calibration_set import select
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.datasets import find


class Line:
    """What a run has in hand. Each result is there when its step is done, and before it is a KeyError.

    Attributes:
        recipe: the whole instruction.
        work: where artifacts and the ledger are.
        data: where datasets are.
        made: step → its result.
    """

    def __init__(self, recipe: Recipe, work: WorkFolder, data: DataPlaces) -> None:
        """Begin with nothing made."""
        self.recipe = recipe
        self.work = work
        self.data = data
        self.made: dict[str, Any] = {}

    @property
    def source(self) -> Source:
        """The checkpoint, and what it is for."""
        return Source(checkpoint=self.recipe.checkpoint, task=self.recipe.task)

    @property
    def exported(self) -> Artifact:
        """The FP32 artifact as it was exported."""
        return self._artifact("export")

    @property
    def baseline(self) -> Artifact:
        """The FP32 artifact that is quantized, and compared with."""
        return self._artifact("fuse") if self.recipe.fuse.enabled else self.exported

    @property
    def candidate(self) -> Artifact:
        """The INT8 artifact."""
        return self._artifact("quantize")

    @property
    def evidence(self) -> GateEvidence:
        """What the gate judges by."""
        return gather(
            self.candidate,
            self.baseline,
            evaluations=(self.evaluation("candidate"), self.evaluation("baseline")),
            inspection=self.inspection,
        )

    @property
    def inspection(self) -> Inspection:
        """What is in the candidate."""
        found: Inspection = self.made["inspect"]
        return found

    @property
    def gate(self) -> GateReport:
        """The verdict."""
        report: GateReport = self.made["gate"]
        return report

    @property
    def bench(self) -> BenchReport | None:
        """The measurement; None without one."""
        return self.made.get("bench")

    @property
    def published(self) -> Published | None:
        """Where the candidate was published; None when it was not."""
        return self.made.get("publish")

    @property
    def quantize_settings(self) -> QuantizeSettings:
        """The recipe's section; a search must not select on the questions that the gate of this run judges by."""
        settings = self.recipe.quantize
        if settings.mode != "auto" or settings.auto.gate_data is not None:
            return settings
        gate_data = settings.auto.model_copy(update={"gate_data": self.recipe.evaluate.data})
        return settings.model_copy(update={"auto": gate_data})

    def evaluation(self, side: str) -> Evaluation:
        """Return the evaluation of the `baseline` or the `candidate`."""
        found: Evaluation = self.made[f"evaluate {side}"]
        return found

    def _artifact(self, step: str) -> Artifact:
        artifact: Artifact = self.made[step]
        return artifact


def require_data(line: Line) -> None:
    """Look for every dataset the recipe names, before hours are spent on the way to it.

    Offline nothing is downloaded; what could be is taken to be there.

    Raises:
        DatasetError: one is nowhere, or the calibration questions cannot be chosen.
    """
    recipe, data = line.recipe, line.data
    for name in (recipe.evaluate.data, *([recipe.bench.data] if recipe.bench else [])):
        if not data.offline or name not in DATASETS:
            find(name, data.data_dir)
    settings = line.quantize_settings
    if settings.calib is None or data.offline:
        return
    chosen = select(
        settings.calib,
        recipe.task,
        settings.calib_questions,
        data.data_dir,
        settings.seed,
        at_most=settings.at_most,
    )
    if settings.mode == "auto":
        selection(settings, recipe.task, chosen, data.data_dir)
