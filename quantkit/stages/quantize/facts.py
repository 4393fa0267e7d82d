"""What the manifest says of a quantized artifact: what was executed, and where the numbers in it come from."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantkit.artifact import Artifact
from quantkit.errors import QuantizationError
from quantkit.graph.kernels import Execution, trace_execution
from quantkit.graph.layout import REPLACED, expected_after
from quantkit.graph.pairs import within_pair_limit
from quantkit.mixed_precision import Chosen
from quantkit.quantization.grids import Grid
from quantkit.quantization.observe import CalibrationJob
from quantkit.quantization.treatments import TREATMENTS, WHOLE_MODEL, Treated
from quantkit.recipe.settings import QuantizeSettings
from quantkit.runtime.cpu import CpuFacts, TargetIsa, validated_on
from quantkit.stages.quantize.assignment import Assignment
from quantkit.tasks import task
from quantkit.tasks.calibration_set import CalibrationSet


def grid_facts(grid: Grid, settings: QuantizeSettings, target: TargetIsa, cpu: CpuFacts) -> dict[str, Any]:
    """Return which integers the weights take, and for which CPUs."""
    return {
        "reduce_range": grid.name == "int7",
        "weight_type": grid.name,
        "target_isa": settings.target_isa,
        "validated_on": list(validated_on(target, cpu)),
    }


def read_back(artifact: Artifact, path: Path, assignment: Assignment) -> dict[str, Any]:
    """Run the new model once and return what was executed.

    Raises:
        QuantizationError: a layer that was to be quantized is executed in float, or is not found at all, or its sums
            saturate where they were not to.
    """
    execution: Execution = trace_execution(
        path,
        outputs=task(artifact.task).outputs,
        config=artifact.config,
        name=f"{artifact.model_path}, quantized",
    )
    executed = {layer.name: layer for layer in execution.layers}
    for name in assignment.quantized:
        scheme, found = assignment.layers[name].scheme, executed.get(name)
        # onnxruntime turns a weight whose activation it cannot take as quantized into MatMulNBits.
        fits = found is not None and (found.kernel == "MatMulNBits") is (scheme == "blockwise")
        if found is None or not fits or not found.integer:
            kernel = found.kernel if found else "no kernel of that name"
            raise QuantizationError(
                f"{name}: was quantized ({scheme}), but onnxruntime executes {kernel}; "
                "keep the layer float with --keep-float, or try another scheme"
            )
    return {
        "int8_coverage": execution.int8_coverage,
        **_pair_facts(execution, assignment),
        "kernels": execution.kernels,
        "quantized_layers": len(assignment.quantized),
        "quantized_tables": [table.name for table in assignment.tables],
        "kept_float": list(assignment.kept),
        "schemes": dict(Counter(choice.label for choice in assignment.layers.values())),
        "grids": assignment.grids,
    }


def _pair_facts(execution: Execution, assignment: Assignment) -> dict[str, Any]:
    """Return the extreme sums over pairs of weights, where uint8 is multiplied by int8: `quantkit.graph.pairs`.

    Raises:
        QuantizationError: the grid of a layer is exact on every CPU, and its written weights are not.
    """
    layers = [layer for layer in execution.layers if layer.pair_sums is not None]
    for layer in layers:
        choice = assignment.layers.get(layer.name)
        if layer.saturates and choice is not None and choice.grid.exact:
            raise QuantizationError(
                f"{layer.name}: its weights were rounded within the pair limit of {choice.grid.name}, and are written "
                f"beyond it ({layer.pair_sums}); write the graph with --layout fused, and report this"
            )
    sums = [layer.pair_sums for layer in layers if layer.pair_sums is not None]
    if not sums:
        return {}
    least, largest = min(low for low, _ in sums), max(high for _, high in sums)
    return {"pair_sums": {"least": least, "largest": largest, "kept": within_pair_limit(least, largest)}}


def treatment_facts(
    artifact: Artifact, settings: QuantizeSettings, assignment: Assignment, treated: Treated
) -> dict[str, Any]:
    """Return what became of treatments that single layers or tensors have: setting → layer → how many, or how many.

    Raises:
        QuantizationError: tensors of the whole model were to be treated as was asked, and none could be.
    """
    facts: dict[str, Any] = {}
    for kind in reversed(TREATMENTS):
        found = assignment.treated(kind.setting)
        if kind.per_layer and (found or getattr(settings, kind.setting) == "auto"):
            facts[kind.setting] = found
    for once in WHOLE_MODEL:
        if getattr(settings, once.setting):
            facts[once.setting] = len(treated.whole[once.setting])
            if not facts[once.setting] and once.setting in settings.model_fields_set:
                raise QuantizationError(f"{artifact.model_path}: {once.setting}: {once.nothing}")
    return facts


def expected(artifact: Artifact, opened: int, facts: Mapping[str, Any]) -> dict[str, int]:
    """Return the operators that must be executed: the FP32 artifact's fusions, with the embeddings opened, laid out.

    Tables in INT8 have no EmbedLayerNormalization kernel; its norm becomes one more SkipLayerNormalization.

    Args:
        artifact: the FP32 artifact.
        opened: how many EmbedLayerNormalization were opened.
        facts: `layout` as `lay_out` said, and `kernels` as executed.

    Raises:
        QuantizationError: the layout's operators are not what onnxruntime executes.
    """
    record = artifact.manifest.stage("fuse")
    fusions: dict[str, int] = dict(record.facts.get("expected", {})) if record else {}
    if fusions and opened:
        fusions["EmbedLayerNormalization"] = 0
        fusions["SkipLayerNormalization"] = fusions.get("SkipLayerNormalization", 0) + opened
    counts = {name: count for name, count in facts["layout"].items() if name in REPLACED and count}
    for name, count in counts.items():
        gone, come = REPLACED[name]
        executed = facts["kernels"].get(come, 0)
        if executed < count:
            raise QuantizationError(
                f"layout {facts['layout']['name']}: {count} {gone} became {come}, but onnxruntime executes {executed} "
                f"(and {facts['kernels'].get(gone, 0)} {gone}); write the graph as fused with --layout fused"
            )
    return expected_after(fusions, counts) if fusions else fusions


def source(
    calibration_set: CalibrationSet, job: CalibrationJob, settings: QuantizeSettings
) -> dict[str, Any]:
    """Return where the calibration comes from."""
    return {
        "schema": "quantkit/calibration/1",
        "set": calibration_set.name,
        "dataset": calibration_set.dataset.digest,
        "source": calibration_set.source_digest,
        "questions": len(calibration_set.ids),
        "features": len(job.rows),
        "tokens": job.tokens(),
        "method": settings.calib_method,
        "percentile": settings.percentile if settings.calib_method == "percentile" else None,
        "smooth_quant": settings.smooth_quant,
    }


def search_facts(asked: QuantizeSettings, chosen: Chosen) -> dict[str, Any]:
    """Return what the manifest says of the search: an artifact that missed its target is marked."""
    report = chosen.report
    best = report.candidates[report.chosen]
    return {
        "asked": asked.as_json(),
        "target": report.target,
        "met": report.met,
        "candidates": len(report.candidates),
        "selection": report.selection_digest,
        "ratio": best.ratio,
        "expected_ratio_low": best.expected_ratio_low,
    }
