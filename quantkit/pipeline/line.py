"""The line: a recipe, where it runs, and what its steps have made so far; `steps` has the order."""

from pathlib import Path
from typing import Any, TypeVar

from quantkit.artifact import Artifact
from quantkit.mixed_precision.asked import selection
from quantkit.pinned import DATASETS
from quantkit.pipeline.judging import gather
from quantkit.pipeline.smaller import Learned, Searched
from quantkit.pipeline.stages import Published
from quantkit.pipeline.work import WorkFolder
from quantkit.recipe.distill_settings import DistillSettings
from quantkit.recipe.search_settings import SearchSettings
from quantkit.recipe.settings import GateSettings, QuantizeSettings, Recipe
from quantkit.records import BenchReport, Evaluation, GateReport, Inspection
from quantkit.shapes.goal import asked_of
from quantkit.shapes.keep_float import read_kept
from quantkit.shapes.questions import questions_of
from quantkit.stages.distill import Family
from quantkit.stages.distill.questions import choose_questions
from quantkit.stages.export import Source
from quantkit.stages.gate import GateEvidence
from quantkit.tasks.calibration_set import select
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.datasets import find
from quantkit.tasks.own_metric.source import find_source

SmallerSection = TypeVar("SmallerSection", SearchSettings, DistillSettings)


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
    def original(self) -> Source:
        """The checkpoint that the recipe names, and what it is for."""
        return Source(checkpoint=self.recipe.checkpoint, task=self.recipe.task)

    @property
    def searched(self) -> Searched | None:
        """What the search found; None without one."""
        return self.made.get("search")

    @property
    def learned(self) -> Learned | None:
        """What the distillation made; None without one."""
        return self.made.get("distill")

    @property
    def family(self) -> Family:
        """Who learns from whom."""
        student = self._searched_or_named()
        return Family(student=student, teacher=self.recipe.checkpoint, task=self.recipe.task)

    @property
    def source(self) -> Source:
        """The checkpoint that is quantized: the recipe's own, or the smaller one that was made from it."""
        smaller = str(self.learned.folder) if self.learned else self._searched_or_named()
        return Source(checkpoint=smaller, task=self.recipe.task)

    @property
    def exported(self) -> Artifact:
        """The FP32 artifact as it was exported."""
        return self._artifact("export")

    @property
    def plain(self) -> Artifact:
        """The FP32 artifact that is quantized."""
        return self._artifact("fuse") if self.recipe.fuse.enabled else self.exported

    @property
    def baseline(self) -> Artifact:
        """The FP32 artifact that is compared with: always that of the recipe's own checkpoint."""
        if not self.recipe.makes_smaller:
            return self.plain
        return self._artifact("fuse original" if self.recipe.fuse.enabled else "export original")

    @property
    def measured(self) -> tuple[Artifact, ...]:
        """The artifacts whose throughput is measured side by side, the candidate last."""
        student = (self.plain,) if self.recipe.makes_smaller else ()
        int8 = (self.original_int8,) if "quantize original" in self.made else ()
        return (self.baseline, *student, *int8, self.candidate)

    @property
    def original_int8(self) -> Artifact:
        """The INT8 artifact of the recipe's own checkpoint, to tell what is due to INT8 and what to the student."""
        return self._artifact("quantize original")

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

    @property
    def candidate_settings(self) -> QuantizeSettings:
        """The same for what is published: blocks of a searched shape that the search keeps float stay float."""
        folder = self.searched.folder if self.searched else self.recipe.student
        kept = read_kept(Path(folder)) if folder else ()
        settings = self.quantize_settings
        return settings.model_copy(update={"keep_float": (*settings.keep_float, *kept)}) if kept else settings

    @property
    def search_settings(self) -> SearchSettings:
        """The recipe's section, at the lengths of its export; no question of this run's gate may be in it."""
        assert self.recipe.search is not None, "the table of steps asks only when there is a search section"
        return self._as_exported(self.recipe.search)

    @property
    def distill_settings(self) -> DistillSettings:
        """The recipe's section, at the lengths of its export; no question of this run's gate may be in it."""
        assert self.recipe.distill is not None, "the table of steps asks only when there is a distill section"
        return self._as_exported(self.recipe.distill)

    @property
    def gate_settings(self) -> GateSettings:
        """The recipe's section; a smaller model is judged as a student of the original."""
        return self.recipe.gate.model_copy(
            update={"student": self.recipe.gate.student or self.recipe.makes_smaller}
        )

    def evaluation(self, side: str) -> Evaluation:
        """Return the evaluation of the `baseline` or the `candidate`."""
        found: Evaluation = self.made[f"evaluate {side}"]
        return found

    def _as_exported(self, section: SmallerSection) -> SmallerSection:
        """Return a section with the lengths that the export has and the section leaves open."""
        open_lengths = {
            name: value
            for name, value in self.recipe.export.asked().items()
            if name in type(section).model_fields and getattr(section, name) is None
        }
        return section.model_copy(update={**open_lengths, "gate_data": self.recipe.evaluate.data})

    def _searched_or_named(self) -> str:
        """Return the smaller checkpoint before any training, or the recipe's own when there is none."""
        return str(self.searched.folder) if self.searched else self.recipe.student or self.recipe.checkpoint

    def _artifact(self, step: str) -> Artifact:
        artifact: Artifact = self.made[step]
        return artifact


def require_data(line: Line) -> None:
    """Look for every dataset the recipe names, before hours are spent on the way to it.

    Offline nothing is downloaded; what could be is taken to be there.

    Raises:
        DatasetError: one is nowhere, questions cannot be chosen, or a smaller model would learn the gate's.
        UsageError: a search is asked for nothing, or the function of an own metric is nowhere.
    """
    recipe, data = line.recipe, line.data
    if recipe.search is not None:
        asked_of(recipe.search)
    if recipe.evaluate.metric is not None:
        find_source(recipe.evaluate.metric)
    for name in (recipe.evaluate.data, *([recipe.bench.data] if recipe.bench else [])):
        if not data.offline or name not in DATASETS:
            find(name, data.data_dir)
    if not data.offline:
        _require_questions_to_learn_on(line)
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


def _require_questions_to_learn_on(line: Line) -> None:
    recipe, data_dir = line.recipe, line.data.data_dir
    if recipe.search is not None:
        questions_of(recipe.task, line.search_settings, data_dir)
    if recipe.distill is not None:
        choose_questions(line.distill_settings, recipe.task, data_dir)
