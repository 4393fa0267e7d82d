"""quantize: fused artifact → INT8 artifact, with the kernels that really run read back.

Steps: choose layers and tables · smooth and calibrate (static) · rewrite · save · load in ONNX Runtime and run once.
A layer that was to be quantized and is executed in float is an error.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from quantkit.artifact import Artifact, StageRecord, new_artifact
from quantkit.artifact.artifact import CALIBRATION, require_apart
from quantkit.artifact.measure import measuring, stage_key, tool_versions
from quantkit.assignment.engine import Chosen, find
from quantkit.errors import ArtifactError, QuantizationError, UsageError
from quantkit.files import require_free, write_json
from quantkit.graph.kernels import Execution, trace_execution
from quantkit.graph.linear import Table, embedding_tables, linear_layers, matching
from quantkit.graph.model import has_external_data, load_model, save_model
from quantkit.quantization.affine import WeightType
from quantkit.quantization.apply import Grid, apply
from quantkit.quantization.attention import calibrate_scores, quantize_scores, score_inputs
from quantkit.quantization.choice import Choice, choices, section_choice
from quantkit.quantization.embeddings import open_embed_layer_norm, quantize_tables
from quantkit.quantization.evidence import Evidence, collect
from quantkit.recipe.load import dump_section
from quantkit.recipe.settings import QuantizeSettings
from quantkit.report.search_files import search_files
from quantkit.runtime.cpu import TargetIsa, cpu_facts, resolve_target, validated_here
from quantkit.tasks import task
from quantkit.tasks.calibration_set import CalibrationSet, select

STAGE = "quantize"
TOOLS = ("onnx", "onnx-ir", "onnxruntime", "numpy", "tokenizers")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What becomes of each layer and table; `kept` are the names of what stays float."""

    assignment: dict[str, Choice]
    tables: tuple[Table, ...]
    kept: tuple[str, ...]

    @property
    def quantized(self) -> list[str]:
        """Names of the layers that are to be executed in integers."""
        return [name for name, choice in self.assignment.items() if choice.scheme != "float"]


def quantize(
    artifact: Artifact,
    out: Path,
    *,
    settings: QuantizeSettings,
    data_dir: Path | None = None,
    force: bool = False,
) -> Artifact:
    """Quantize an FP32 artifact into a new artifact at `out`.

    The record's facts: `int8_coverage`, `kernels` (executed operator → count), `layers` (quantized and kept float),
    `expected` (fusions that must still be there), `reduce_range` as decided, and `calibration` (set, questions,
    tokens, method). The ranges themselves are the artifact's `calibration.json`.

    Args:
        artifact: a fused FP32 artifact (an unfused one is quantized too, and is slower).
        out: the new artifact's folder.
        settings: this stage's section of the recipe.
        data_dir: where calibration data is looked for first.
        force: replace what is at `out`.

    Raises:
        ArtifactError: the artifact is INT8 already, or cannot be read.
        UsageError: static without calibration data, or dynamic with it.
        RecipeError: a `keep_float` pattern matches nothing.
        DatasetError: the calibration set cannot be found, is empty, or is all padding.
        EvaluationError: an activation or a logit is NaN or infinite.
        QuantizationError: nothing is left to quantize, a weight is not finite, or a quantized layer is executed in
            float.
        OutputError: `out` cannot be written.
    """
    require_free(out, force=force)
    require_apart(out, artifact)
    _require_usable(artifact, settings)
    tools = tool_versions(*TOOLS)
    cpu = cpu_facts()
    target = resolve_target(settings.target_isa, cpu)
    grid = Grid(per_channel=settings.per_channel, weight_type=_weight_type(settings, target))
    with measuring() as watch:
        calibration_set = _calibration_set(artifact, settings, data_dir)
        chosen: Chosen | None = None
        asked = settings
        if settings.mode == "auto":
            assert calibration_set is not None
            chosen = find(artifact, settings, calibration_set, grid, data_dir=data_dir)
            settings = chosen.settings
        model = load_model(artifact.model_path)
        opened = open_embed_layer_norm(model)
        plan = _plan(artifact, model, settings)
        scores = score_inputs(model) if settings.attention == "qk" else []
        facts: dict[str, Any] = {
            "reduce_range": grid.weight_type == "int7",
            "weight_type": grid.weight_type,
            "target_isa": settings.target_isa,
            "validated_on": [target.name] if validated_here(target, cpu) else [],
        }
        with new_artifact(out, force=force) as draft:
            evidence = _evidence(artifact, model, calibration_set, plan, chosen)
            score_ranges = calibrate_scores(model, scores, evidence)
            ranges = apply(model, plan.assignment, evidence, grid)
            if scores:
                facts["attention"] = {"qk": quantize_scores(model, scores, score_ranges)}
            if calibration_set is not None:
                facts["calibration"] = _source(calibration_set, evidence, settings)
                content = {name: found.as_json() for name, found in ranges.items()}
                calibration = {**facts["calibration"], "ids": list(calibration_set.ids), "ranges": content}
                if scores:
                    calibration["attention"] = {
                        entry.layer: score_ranges[entry.tensor].as_json() for entry in scores
                    }
                write_json(draft.path / CALIBRATION, calibration)
            quantize_tables(model, plan.tables)
            save_model(model, draft.model_path, external=has_external_data(artifact.model_path))
            facts |= _read_back(artifact, draft.model_path, plan)
            facts["expected"] = _expected(artifact, opened)
            if chosen is not None:
                facts["search"] = _search_facts(asked, chosen)
            draft.take_companions(artifact.path)
            record = watch.record(
                STAGE,
                key=stage_key(STAGE, (artifact.digest,), asked.as_json(), tools),
                settings=settings.as_json(),
                facts=facts,
                tools=tools,
                cpu=cpu.as_json(),
            )
            stages: tuple[StageRecord, ...] = (*artifact.manifest.stages, record)
            draft.record(
                task=artifact.task,
                architecture=artifact.manifest.architecture,
                precision="int8",
                stages=stages,
                parent=artifact.digest,
            )
    made = Artifact.open(out)
    if chosen is not None:
        for name, content in search_files(chosen.report, recipe=dump_section(settings)).items():
            made.write_report(name, content)
    return made


def _require_usable(artifact: Artifact, settings: QuantizeSettings) -> None:
    if artifact.manifest.precision == "int8":
        raise ArtifactError(f"{artifact.path}: is INT8 already; give the FP32 artifact it was made from")
    if settings.mode != "dynamic" and settings.calib is None:
        raise UsageError(
            f"{settings.mode} quantization needs calibration data; give --calib squad, --calib FILE, or --mode dynamic"
        )
    section = section_choice(settings)
    if (
        settings.mode == "dynamic"
        and settings.calib is not None
        and not section.calibrated
        and not settings.schemes
        and settings.attention == "float"
    ):
        raise _unused_calibration(settings)
    if settings.mode == "dynamic" and settings.calib is None and section.calibrated:
        raise UsageError(
            "--smooth-quant, --rounding gptq and --bias-correction need calibration data; "
            "give --calib squad or --calib FILE"
        )
    if settings.attention == "qk" and settings.calib is None:
        raise UsageError("--attention qk needs calibration data; give --calib squad or --calib FILE")
    if settings.attention == "qk" and settings.mode == "auto":
        raise UsageError(
            "--attention qk is no part of the search, so what was searched would not be what is written; "
            "run the recipe that --mode auto wrote with --attention qk, and evaluate it"
        )
    if isinstance(settings.smooth_quant, float) and not 0 <= settings.smooth_quant <= 1:
        raise UsageError(f"--smooth-quant {settings.smooth_quant:g}: alpha lies between 0 and 1")
    if settings.weight_type == "uint8" and settings.reduce_range == "yes":
        raise UsageError(
            "--weight-type uint8 and --reduce-range yes are two ways to the same end; choose one"
        )


def _weight_type(settings: QuantizeSettings, target: TargetIsa) -> WeightType:
    """Decide on the weights' grid: auto means 7 bits where u8·s8 products saturate in 16 bits."""
    if settings.weight_type == "uint8":
        return "uint8"
    if settings.reduce_range == "auto":
        return "int7" if target.saturates else "int8"
    return "int7" if settings.reduce_range == "yes" else "int8"


def _plan(artifact: Artifact, model: ir.Model, settings: QuantizeSettings) -> _Plan:
    layers, tables = linear_layers(model.graph), embedding_tables(model.graph)
    names = [*(layer.name for layer in layers), *(table.name for table in tables)]
    kept = matching(names, [entry.pattern for entry in settings.keep_float])
    assignment = choices(layers, settings, kept)
    if all(choice.scheme == "float" for choice in assignment.values()):
        reason = (
            "keep_float spares every layer" if layers else "the graph has no MatMul with a constant weight"
        )
        raise QuantizationError(f"{artifact.model_path}: nothing to quantize: {reason}")
    _require_calibration(settings, assignment)
    return _Plan(
        assignment=assignment,
        tables=tuple(table for table in tables if table.name not in kept),
        kept=tuple(name for name in names if name in kept),
    )


def _require_calibration(settings: QuantizeSettings, assignment: Mapping[str, Choice]) -> None:
    """Refuse layers that need calibration data without any, and data that no layer uses."""
    calibrated = [name for name, choice in assignment.items() if choice.calibrated]
    if settings.calib is None and calibrated:
        raise UsageError(
            f"schemes: {calibrated[0]}: {assignment[calibrated[0]].label} needs calibration data; "
            "give --calib squad or --calib FILE"
        )
    unused = settings.calib is not None and not calibrated and settings.attention == "float"
    if settings.mode == "dynamic" and unused:
        raise _unused_calibration(settings)


def _unused_calibration(settings: QuantizeSettings) -> UsageError:
    return UsageError(
        f"dynamic quantization takes its ranges at run time and would not use --calib {settings.calib}; "
        "leave it out, choose --mode static, or add --smooth-quant or --rounding gptq, which use it"
    )


def _calibration_set(
    artifact: Artifact, settings: QuantizeSettings, data_dir: Path | None
) -> CalibrationSet | None:
    if settings.calib is None:
        return None
    return select(settings.calib, artifact.task, settings.calib_samples, data_dir, settings.seed)


def _evidence(
    artifact: Artifact,
    model: ir.Model,
    calibration_set: CalibrationSet | None,
    plan: _Plan,
    chosen: Chosen | None,
) -> Evidence:
    """Return what calibration saw: in the search, or now."""
    if chosen is not None:
        return chosen.evidence
    if calibration_set is None:
        return Evidence(statistics={})
    moments = any(choice.needs_moments for choice in plan.assignment.values())
    return collect(artifact, model, calibration_set, moments=moments)


def _search_facts(asked: QuantizeSettings, chosen: Chosen) -> dict[str, Any]:
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


def _source(
    calibration_set: CalibrationSet, evidence: Evidence, settings: QuantizeSettings
) -> dict[str, Any]:
    """Return where the calibration comes from."""
    assert evidence.run is not None
    return {
        "schema": "quantkit/calibration/1",
        "set": calibration_set.name,
        "dataset": calibration_set.dataset.digest,
        "source": calibration_set.source_digest,
        "questions": len(calibration_set.ids),
        "features": len(evidence.run.rows),
        "tokens": evidence.run.tokens(),
        "method": settings.calib_method,
        "percentile": settings.percentile if settings.calib_method == "percentile" else None,
        "smooth_quant": settings.smooth_quant,
    }


def _read_back(artifact: Artifact, path: Path, plan: _Plan) -> dict[str, Any]:
    """Run the new model once and return what was executed.

    Raises:
        QuantizationError: a layer that was to be quantized is executed in float, or is not found at all.
    """
    execution: Execution = trace_execution(
        path,
        outputs=task(artifact.task).outputs,
        config=artifact.config,
        name=f"{artifact.model_path}, quantized",
    )
    executed = {layer.name: layer for layer in execution.layers}
    for name in plan.quantized:
        scheme, found = plan.assignment[name].scheme, executed.get(name)
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
        "kernels": execution.kernels,
        "quantized_layers": len(plan.quantized),
        "quantized_tables": [table.name for table in plan.tables],
        "kept_float": list(plan.kept),
        "schemes": dict(Counter(choice.label for choice in plan.assignment.values())),
    }


def _expected(artifact: Artifact, opened: int) -> dict[str, int]:
    """Return the fusions that must still be executed: those of the FP32 artifact, with the embeddings opened.

    Tables in INT8 have no EmbedLayerNormalization kernel; its norm becomes one more SkipLayerNormalization.
    """
    record = artifact.manifest.stage("fuse")
    expected: dict[str, int] = dict(record.facts["expected"]) if record else {}
    if expected and opened:
        expected["EmbedLayerNormalization"] = 0
        expected["SkipLayerNormalization"] = expected.get("SkipLayerNormalization", 0) + opened
    return expected
