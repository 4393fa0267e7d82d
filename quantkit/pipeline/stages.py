"""The stages as a run uses them: what decides a result, how it is made, and how a finished one is taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError
from quantkit.pipeline.judging import judge_evidence
from quantkit.pipeline.stage import Stage
from quantkit.recipe.load import dump_section
from quantkit.recipe.places import without_places
from quantkit.recipe.settings import (
    BenchSettings,
    EvaluateSettings,
    ExportSettings,
    FuseSettings,
    GateSettings,
    QuantizeSettings,
    Recipe,
)
from quantkit.records import BenchReport, Evaluation, GateReport, Inspection
from quantkit.registry.protocol import Pinned
from quantkit.stages.bench import bench
from quantkit.stages.bench import ingredients as bench_ingredients
from quantkit.stages.evaluate import evaluate
from quantkit.stages.evaluate import ingredients as evaluate_ingredients
from quantkit.stages.export import Source, export
from quantkit.stages.export import ingredients as export_ingredients
from quantkit.stages.fuse import fuse
from quantkit.stages.fuse import ingredients as fuse_ingredients
from quantkit.stages.gate import GateEvidence
from quantkit.stages.inspect import ingredients as inspect_ingredients
from quantkit.stages.inspect import inspect
from quantkit.stages.publish import already_published, publish
from quantkit.stages.quantize import quantize
from quantkit.stages.quantize.ingredients import ingredients as quantize_ingredients
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.own_metric import OwnMetric


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """Where the candidate is in the registry, and whether it was there before.

    Attributes:
        place: its folder, or its reference in an OCI registry.
        already: it was there before.
    """

    place: Path | Pinned
    already: bool


def _export(source: Source, settings: ExportSettings, data: DataPlaces, out: Path) -> Artifact:
    del data
    return export(source.checkpoint, out, task=source.task, settings=settings)


def _fuse(exported: Artifact, settings: FuseSettings, data: DataPlaces, out: Path) -> Artifact:
    del data
    return fuse(exported, out, settings=settings)


def _quantize(baseline: Artifact, settings: QuantizeSettings, data: DataPlaces, out: Path) -> Artifact:
    return quantize(baseline, out, settings=settings, data_dir=data.data_dir)


def _open(taken: object, settings: object, data: DataPlaces, out: Path) -> Artifact:
    del taken, settings, data
    return Artifact.open(out)


def _evaluate(artifact: Artifact, settings: EvaluateSettings, data: DataPlaces, folder: Path) -> Evaluation:
    """Evaluate; the stage knows by the same key when it has done so already."""
    del folder
    own = OwnMetric.allowed(settings.metric, allow_code=data.allow_code)
    return evaluate(artifact, settings=settings, data_dir=data.data_dir, own=own)


def _inspect(candidate: Artifact, settings: None, data: DataPlaces, folder: Path) -> Inspection:
    del settings, data, folder
    inspection = inspect(candidate)
    candidate.write_report("inspection.json", inspection.as_json())
    return inspection


def _load_inspection(candidate: Artifact, settings: None, data: DataPlaces, folder: Path) -> Inspection:
    del settings, data, folder
    inspection = Inspection.read(candidate.report_path("inspection.json"))
    _require_own(inspection.artifact, candidate)
    return inspection


def _gate(evidence: GateEvidence, settings: GateSettings, data: DataPlaces, folder: Path) -> GateReport:
    """Judge the candidate, and leave the reports in it."""
    del data, folder
    return judge_evidence(evidence, settings=settings)


def _bench(
    artifacts: Sequence[Artifact], settings: BenchSettings, data: DataPlaces, folder: Path
) -> BenchReport:
    """Measure artifacts side by side; the last one gets the report."""
    del folder
    report = bench(artifacts, settings=settings, data_dir=data.data_dir)
    artifacts[-1].write_report("bench.json", report.as_json())
    return report


def _load_bench(
    artifacts: Sequence[Artifact], settings: BenchSettings, data: DataPlaces, folder: Path
) -> BenchReport:
    del settings, data, folder
    report = BenchReport.read(artifacts[-1].report_path("bench.json"))
    _require_own(report.results[-1].artifact, artifacts[-1])
    return report


def _publish(candidate: Artifact, recipe: Recipe, data: DataPlaces, folder: Path) -> Published:
    """Publish with the recipe, unless exactly these bytes are published under this name and version."""
    del data, folder
    assert recipe.publish is not None, "the table of steps asks only when there is a publish section"
    plain = without_places(recipe).model_copy(update={"publish": None})
    candidate.write_report("recipe.yaml", dump_section(plain))
    already = already_published(candidate, settings=recipe.publish)
    return Published(place=publish(candidate, settings=recipe.publish), already=already)


def _require_own(digest: str, artifact: Artifact) -> None:
    if digest != artifact.digest:
        raise ArtifactError(f"{artifact.path}: a report there is about {digest[:12]}")


EXPORT = Stage(name="export", ingredients=export_ingredients, make=_export, load=_open)
FUSE = Stage(name="fuse", ingredients=fuse_ingredients, make=_fuse, load=_open)
QUANTIZE = Stage(name="quantize", ingredients=quantize_ingredients, make=_quantize, load=_open)
EVALUATE = Stage(name="evaluate", ingredients=evaluate_ingredients, make=_evaluate, load=_evaluate)
INSPECT = Stage(name="inspect", ingredients=inspect_ingredients, make=_inspect, load=_load_inspection)
GATE = Stage(name="gate", make=_gate)
BENCH = Stage(name="bench", ingredients=bench_ingredients, make=_bench, load=_load_bench)
PUBLISH = Stage(name="publish", make=_publish)
