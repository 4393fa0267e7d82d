"""The line: what a run has in hand, and how each step fills it; `steps` has the order."""

from collections.abc import Callable
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.checkpoint import checkpoint_digest
from quantkit.errors import ArtifactError
from quantkit.exam.selection import selection
from quantkit.files import sha256_file
from quantkit.pipeline.judging import judge_evidence
from quantkit.pipeline.work import Ingredients, WorkFolder
from quantkit.recipe.load import dump_section
from quantkit.recipe.settings import QuantizeSettings, Recipe
from quantkit.records import BenchReport, Evaluation, GateReport, Inspection
from quantkit.registry.protocol import Pinned
from quantkit.runtime.cpu import cpu_facts
from quantkit.stages.bench import bench
from quantkit.stages.evaluate import evaluate
from quantkit.stages.export import export
from quantkit.stages.fuse import fuse
from quantkit.stages.gate import GateEvidence
from quantkit.stages.inspect import inspect
from quantkit.stages.publish import already_published, publish
from quantkit.stages.quantize import quantize
from quantkit.tasks.calibration_set import select
from quantkit.tasks.datasets import DATASETS, find

_GRAPH_TOOLS = ("onnx", "onnx-ir", "onnxruntime", "numpy")
_EXPORT_TOOLS = ("torch", "transformers", "onnxscript", *_GRAPH_TOOLS)
_RUN_TOOLS = ("onnxruntime", "tokenizers", "numpy")


class Line:
    """A recipe, its work folder, and what the steps have made so far."""

    def __init__(
        self, recipe: Recipe, work: WorkFolder, *, data_dir: Path | None, offline: bool = False
    ) -> None:
        """Begin with nothing made.

        Args:
            recipe: the whole instruction.
            work: where artifacts and the ledger are.
            data_dir: where datasets are looked for first.
            offline: take the ledger's word for a checkpoint on the Hugging Face Hub, do not ask there.
        """
        self.recipe = recipe
        self.work = work
        self.data_dir = data_dir
        self.offline = offline
        self.artifacts: dict[str, Artifact] = {}
        self.evaluations: dict[str, Evaluation] = {}
        self._inspection: Inspection | None = None
        self._gate: GateReport | None = None
        self.bench: BenchReport | None = None
        self.published: Path | Pinned | None = None
        self.was_published = False

    @property
    def baseline(self) -> Artifact:
        """The FP32 artifact that is quantized, and compared with."""
        return self.artifacts["fuse" if self.recipe.fuse.enabled else "export"]

    @property
    def candidate(self) -> Artifact:
        """The INT8 artifact."""
        return self.artifacts["quantize"]

    @property
    def quantize_settings(self) -> QuantizeSettings:
        """The recipe's section; a search must not select on the questions that the gate of this run judges by."""
        settings = self.recipe.quantize
        if settings.mode != "auto" or settings.auto.gate_data is not None:
            return settings
        gate_data = settings.auto.model_copy(update={"gate_data": self.recipe.evaluate.data})
        return settings.model_copy(update={"auto": gate_data})

    @property
    def inspection(self) -> Inspection:
        """What is in the candidate; the step `inspect` makes it."""
        assert self._inspection is not None, "inspect comes first in the table of steps"
        return self._inspection

    @property
    def gate(self) -> GateReport:
        """The verdict; the step `gate` makes it."""
        assert self._gate is not None, "gate comes first in the table of steps"
        return self._gate

    def require_data(self) -> None:
        """Look for every dataset the recipe names, before hours are spent on the way to it.

        Offline nothing is downloaded; what could be is taken to be there.

        Raises:
            DatasetError: one is nowhere, or the calibration questions cannot be chosen.
        """
        recipe = self.recipe
        names = [recipe.evaluate.data, *([recipe.bench.data] if recipe.bench else [])]
        for name in names:
            if not self.offline or name not in DATASETS:
                find(name, self.data_dir)
        settings = self.quantize_settings
        if settings.calib is None or self.offline:
            return
        chosen = select(settings.calib, recipe.task, settings.calib_samples, self.data_dir, settings.seed)
        if settings.mode == "auto":
            selection(settings, recipe.task, chosen, self.data_dir)

    # export -----------------------------------------------------------------------------------------------

    def export_ingredients(self) -> Ingredients:
        """Checkpoint files, settings, tools."""
        recipe = self.recipe
        entry = self.work.entry("export")
        if self.offline and not Path(recipe.checkpoint).expanduser().is_dir():
            digest = entry.ingredients.inputs.get("checkpoint", "") if entry else ""
        else:
            digest = checkpoint_digest(
                recipe.checkpoint, revision=recipe.export.revision, allow_pickle=recipe.export.allow_pickle
            )
        return Ingredients(
            inputs={"checkpoint": digest},
            settings={"task": recipe.task, **recipe.export.as_json()},
            tools=tool_versions(*_EXPORT_TOOLS),
        )

    def export(self) -> None:
        """Make 01-export."""
        recipe = self.recipe
        self.artifacts["export"] = export(
            recipe.checkpoint, self.work.path / "01-export", task=recipe.task, settings=recipe.export
        )

    # fuse -------------------------------------------------------------------------------------------------

    def fuse_ingredients(self) -> Ingredients:
        """The exported artifact, settings, tools."""
        return Ingredients(
            inputs={"artifact": self.artifacts["export"].digest},
            settings=self.recipe.fuse.as_json(),
            tools=tool_versions(*_GRAPH_TOOLS),
        )

    def fuse(self) -> None:
        """Make 02-fused."""
        out = self.work.path / "02-fused"
        self.artifacts["fuse"] = fuse(self.artifacts["export"], out, settings=self.recipe.fuse)

    # quantize ---------------------------------------------------------------------------------------------

    def quantize_ingredients(self) -> Ingredients:
        """The FP32 artifact, the calibration questions, settings, tools, the processor where it matters."""
        settings, task = self.quantize_settings, self.recipe.task
        inputs = {"artifact": self.baseline.digest}
        # Where the data is does not matter, only what is in it.
        plain = {name: value for name, value in settings.as_json().items() if name != "calib"}
        if settings.calib is not None:
            chosen = select(settings.calib, task, settings.calib_samples, self.data_dir, settings.seed)
            inputs["calibration"] = chosen.dataset.digest
            if settings.mode == "auto":
                inputs["selection"] = selection(settings, task, chosen, self.data_dir).digest
                searched = plain["auto"]
                plain["auto"] = {name: searched[name] for name in ("target", "budget", "confidence")}
        if settings.reduce_range == "auto" or settings.target_isa == "native":
            inputs["vnni"] = str(cpu_facts().has_vnni)
        return Ingredients(
            inputs=inputs,
            settings=plain,
            tools=tool_versions(*_GRAPH_TOOLS, "tokenizers"),
        )

    def quantize(self) -> None:
        """Make 03-int8."""
        out = self.work.path / "03-int8"
        self.artifacts["quantize"] = quantize(
            self.baseline, out, settings=self.quantize_settings, data_dir=self.data_dir
        )

    # evaluate ---------------------------------------------------------------------------------------------

    def baseline_ingredients(self) -> Ingredients:
        """The FP32 artifact, the dataset, settings, tools."""
        return self._evaluation_ingredients(self.baseline)

    def candidate_ingredients(self) -> Ingredients:
        """The INT8 artifact, the dataset, settings, tools."""
        return self._evaluation_ingredients(self.candidate)

    def evaluate_baseline(self) -> None:
        """Evaluate the FP32 artifact; the stage knows by digests when it has done so already."""
        settings = self.recipe.evaluate
        self.evaluations["baseline"] = evaluate(self.baseline, settings=settings, data_dir=self.data_dir)

    def evaluate_candidate(self) -> None:
        """Evaluate the INT8 artifact."""
        settings = self.recipe.evaluate
        self.evaluations["candidate"] = evaluate(self.candidate, settings=settings, data_dir=self.data_dir)

    def _evaluation_ingredients(self, artifact: Artifact) -> Ingredients:
        settings = self.recipe.evaluate.as_json()
        return Ingredients(
            inputs={
                "artifact": artifact.digest,
                "dataset": sha256_file(find(self.recipe.evaluate.data, self.data_dir)),
            },
            settings={name: value for name, value in settings.items() if name != "data"},
            tools=_tools_here(*_RUN_TOOLS),
        )

    # inspect ----------------------------------------------------------------------------------------------

    def inspect_ingredients(self) -> Ingredients:
        """The INT8 artifact, tools, the processor."""
        return Ingredients(
            inputs={"artifact": self.candidate.digest},
            tools=_tools_here(*_GRAPH_TOOLS),
        )

    def inspect(self) -> None:
        """Inspect the INT8 artifact."""
        self._inspection = inspect(self.candidate)
        self.candidate.write_report("inspection.json", self._inspection.as_json())

    def load_inspection(self) -> None:
        """Take the inspection that is there."""
        self._inspection = Inspection.read(self.candidate.report_path("inspection.json"))
        _require_own(self._inspection.artifact, self.candidate)

    # gate -------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Judge the candidate, and leave the reports in it."""
        self._gate = judge_evidence(
            GateEvidence(
                candidate=self.candidate,
                baseline=self.baseline,
                candidate_evaluation=self.evaluations["candidate"],
                baseline_evaluation=self.evaluations["baseline"],
                inspection=self.inspection,
            ),
            settings=self.recipe.gate,
        )

    # bench ------------------------------------------------------------------------------------------------

    def bench_ingredients(self) -> Ingredients:
        """Both artifacts, settings, tools, the processor."""
        assert self.recipe.bench is not None, "the table asks only when there is a bench section"
        return Ingredients(
            inputs={"baseline": self.baseline.digest, "candidate": self.candidate.digest},
            settings={**self.recipe.bench.as_json(), "cpu": cpu_facts().as_json()},
            tools=tool_versions(*_RUN_TOOLS),
        )

    def measure(self) -> None:
        """Measure both artifacts side by side."""
        assert self.recipe.bench is not None, "the table asks only when there is a bench section"
        artifacts = (self.baseline, self.candidate)
        self.bench = bench(artifacts, settings=self.recipe.bench, data_dir=self.data_dir)
        self.candidate.write_report("bench.json", self.bench.as_json())

    def load_bench(self) -> None:
        """Take the measurement that is there."""
        self.bench = BenchReport.read(self.candidate.report_path("bench.json"))
        _require_own(self.bench.results[-1].artifact, self.candidate)

    # publish ----------------------------------------------------------------------------------------------

    def publish(self) -> None:
        """Publish the candidate, unless exactly these bytes are published under this name and version."""
        settings = self.recipe.publish
        assert settings is not None, "the table asks only when there is a publish section"
        self.candidate.write_report("recipe.yaml", self._published_recipe())
        self.was_published = already_published(self.candidate, settings=settings)
        self.published = publish(self.candidate, settings=settings)

    def _published_recipe(self) -> str:
        """Return the recipe as it ran, less the places of this machine."""
        recipe = self.recipe

        def name(place: str | None) -> str | None:
            return Path(place).name if place is not None and Path(place).expanduser().exists() else place

        return dump_section(
            recipe.model_copy(
                update={
                    "checkpoint": name(recipe.checkpoint),
                    "quantize": self._quantize_without_places(name),
                    "evaluate": recipe.evaluate.model_copy(update={"data": name(recipe.evaluate.data)}),
                    "publish": None,
                }
            )
        )

    def _quantize_without_places(self, name: Callable[[str | None], str | None]) -> QuantizeSettings:
        settings = self.recipe.quantize
        auto = settings.auto.model_copy(
            update={"select": name(settings.auto.select), "gate_data": name(settings.auto.gate_data)}
        )
        return settings.model_copy(update={"calib": name(settings.calib), "auto": auto})


def _tools_here(*packages: str) -> dict[str, str]:
    """Return tool versions, and the instruction sets that decide which kernels run."""
    facts = cpu_facts()
    return {**tool_versions(*packages), "cpu": " ".join((facts.machine, *(facts.instruction_sets or ())))}


def _require_own(digest: str, artifact: Artifact) -> None:
    if digest != artifact.digest:
        raise ArtifactError(f"{artifact.path}: a report there is about {digest[:12]}")
