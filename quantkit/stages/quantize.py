"""quantize: fused artifact → INT8 artifact, with the kernels that really run read back.

Steps: choose layers and tables · smooth and calibrate (static) · rewrite · save · load in ONNX Runtime and run once.
A layer that was to be quantized and is executed in float is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from quantkit.artifact import Artifact, StageRecord, new_artifact
from quantkit.artifact.artifact import CALIBRATION, require_apart
from quantkit.artifact.measure import measuring, stage_key, tool_versions
from quantkit.errors import ArtifactError, DatasetError, QuantizationError, UsageError
from quantkit.files import require_free, write_json
from quantkit.graph.kernels import Execution, trace_execution
from quantkit.graph.linear import Linear, Table, embedding_tables, linear_layers, matching
from quantkit.graph.model import has_external_data, load_model, save_model
from quantkit.quantization.affine import QuantizedWeight
from quantkit.quantization.calibration import (
    CalibrationRun,
    Range,
    calibrate,
    calibration_key,
    observe_channels,
)
from quantkit.quantization.dynamic import quantize_dynamic
from quantkit.quantization.embeddings import open_embed_layer_norm, quantize_tables
from quantkit.quantization.rounding import ROUNDINGS, Problem
from quantkit.quantization.smoothing import smooth
from quantkit.quantization.static import quantize_static
from quantkit.recipe.settings import QuantizeSettings
from quantkit.runtime.cpu import cpu_facts
from quantkit.tasks import FeatureSettings, task
from quantkit.tasks.calibration_set import CalibrationSet, select
from quantkit.tasks.tokenizer import Tokenizer

STAGE = "quantize"
# MiniLM's answers diverge least from FP32's between 0.7 and 0.9, to under a third: benchmarks/smoothing.py.
ALPHA = 0.75
TOOLS = ("onnx", "onnx-ir", "onnxruntime", "numpy", "tokenizers")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    """What is quantized, and the names of what stays float."""

    layers: tuple[Linear, ...]
    tables: tuple[Table, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Calibrated:
    """The choice in the smoothed graph, where its ranges come from, and activation name → range."""

    choice: _Choice
    source: dict[str, Any]
    ranges: dict[str, Range]

    def as_json(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the content of `calibration.json`: the source, the questions, and each layer's range."""
        layers = self.choice.layers
        ranges = {layer.name: self.ranges[layer.activation.name or ""].as_json() for layer in layers}
        return {**self.source, "ids": list(ids), "ranges": ranges}


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
    reduce_range = _reduce_range(settings, cpu.has_vnni)
    with measuring() as watch:
        calibration_set = _calibration_set(artifact, settings, data_dir)
        model = load_model(artifact.model_path)
        opened = open_embed_layer_norm(model)
        choice = _choose(artifact, model, settings)
        facts: dict[str, Any] = {"reduce_range": reduce_range}
        with new_artifact(out, force=force) as draft:
            if calibration_set is None:
                quantize_dynamic(
                    model, choice.layers, _rounded(choice.layers, settings, reduce_range=reduce_range)
                )
            else:
                calibrated = _calibrate(artifact, model, choice, calibration_set, settings)
                choice = calibrated.choice
                facts["calibration"] = calibrated.source
                write_json(draft.path / CALIBRATION, calibrated.as_json(calibration_set.ids))
                quantize_static(
                    model,
                    choice.layers,
                    {name: (found.low, found.high) for name, found in calibrated.ranges.items()},
                    _rounded(choice.layers, settings, reduce_range=reduce_range),
                )
            quantize_tables(model, choice.tables)
            save_model(model, draft.model_path, external=has_external_data(artifact.model_path))
            facts |= _read_back(artifact, draft.model_path, choice)
            facts["expected"] = _expected(artifact, opened)
            draft.take_companions(artifact.path)
            record = watch.record(
                STAGE,
                key=stage_key(STAGE, (artifact.digest,), settings.as_json(), tools),
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
    return Artifact.open(out)


def _require_usable(artifact: Artifact, settings: QuantizeSettings) -> None:
    if artifact.manifest.precision == "int8":
        raise ArtifactError(f"{artifact.path}: is INT8 already; give the FP32 artifact it was made from")
    if settings.mode == "static" and settings.calib is None:
        raise UsageError(
            "static quantization needs calibration data; give --calib squad, --calib FILE, or --mode dynamic"
        )
    if settings.mode == "dynamic" and settings.calib is not None:
        raise UsageError(
            f"dynamic quantization takes its ranges at run time and would not use --calib {settings.calib}; "
            "leave it out, or choose --mode static"
        )
    if settings.mode == "dynamic" and settings.smooth_quant not in ("auto", "off"):
        raise UsageError(
            "SmoothQuant needs calibration, which dynamic quantization has not; choose --mode static"
        )
    if isinstance(settings.smooth_quant, float) and not 0 <= settings.smooth_quant <= 1:
        raise UsageError(f"--smooth-quant {settings.smooth_quant:g}: alpha lies between 0 and 1")


def _reduce_range(settings: QuantizeSettings, has_vnni: bool | None) -> bool:
    """Decide on 7-bit weights: auto means x86 without VNNI, where u8·s8 products saturate in 16 bits."""
    if settings.reduce_range == "auto":
        return has_vnni is False
    return settings.reduce_range == "yes"


def _choose(artifact: Artifact, model: ir.Model, settings: QuantizeSettings) -> _Choice:
    layers, tables = linear_layers(model.graph), embedding_tables(model.graph)
    names = [*(layer.name for layer in layers), *(table.name for table in tables)]
    kept = matching(names, [entry.pattern for entry in settings.keep_float])
    chosen = tuple(layer for layer in layers if layer.name not in kept)
    if not chosen:
        reason = (
            "keep_float spares every layer" if layers else "the graph has no MatMul with a constant weight"
        )
        raise QuantizationError(f"{artifact.model_path}: nothing to quantize: {reason}")
    return _Choice(
        layers=chosen,
        tables=tuple(table for table in tables if table.name not in kept),
        kept=tuple(name for name in names if name in kept),
    )


def _rounded(
    layers: Sequence[Linear], settings: QuantizeSettings, *, reduce_range: bool
) -> dict[str, QuantizedWeight]:
    """Return layer name → its rounded weight."""
    return {
        layer.name: ROUNDINGS["nearest"](
            Problem(
                name=layer.name,
                matrix=layer.matrix(),
                per_channel=settings.per_channel,
                weight_type="int7" if reduce_range else "int8",
            )
        )
        for layer in layers
    }


def _calibration_set(
    artifact: Artifact, settings: QuantizeSettings, data_dir: Path | None
) -> CalibrationSet | None:
    if settings.calib is None:
        return None
    return select(settings.calib, artifact.task, settings.calib_samples, data_dir, settings.seed)


def _calibrate(
    artifact: Artifact,
    model: ir.Model,
    choice: _Choice,
    calibration_set: CalibrationSet,
    settings: QuantizeSettings,
) -> _Calibrated:
    """Smooth the graph where asked, and find the ranges."""
    tokenizer = Tokenizer.load(artifact.path)
    tokenizer.check_vocabulary(int(artifact.config.get("vocab_size", 0)))
    features = FeatureSettings()
    rows = task(artifact.task).featurize(calibration_set.dataset, tokenizer, features)
    if all(np.isin(row.input_ids, tokenizer.special_ids).all() for row in rows):
        raise DatasetError(
            f"{settings.calib}: its {len(calibration_set.ids)} calibration questions hold no text; "
            "give questions and paragraphs with text as --calib"
        )
    run = CalibrationRun(
        rows=rows,
        pad_id=tokenizer.pad_id,
        method=settings.calib_method,
        percentile=settings.percentile,
        model_name=str(artifact.model_path),
    )
    matters = {
        "method": run.method,
        "percentile": run.percentile,
        "layers": [layer.name for layer in choice.layers],
        "features": features.as_json(),
        **tool_versions(*TOOLS),
    }
    alpha = _alpha(settings)
    if alpha is not None:
        key = calibration_key(artifact.digest, calibration_set.dataset.digest, matters)
        magnitudes = observe_channels(model, _activations(choice.layers), run, key=key)
        smooth(model, choice.layers, magnitudes, alpha)
        choice = _choose(artifact, model, settings)
    key = calibration_key(artifact.digest, calibration_set.dataset.digest, {**matters, "smooth_quant": alpha})
    ranges: dict[str, Range] = calibrate(model, _activations(choice.layers), run, key=key)
    source = {
        "schema": "quantkit/calibration/1",
        "set": calibration_set.name,
        "dataset": calibration_set.dataset.digest,
        "source": calibration_set.source_digest,
        "questions": len(calibration_set.ids),
        "features": len(rows),
        "tokens": run.tokens(),
        "method": run.method,
        "percentile": run.percentile if run.method == "percentile" else None,
        "smooth_quant": alpha,
    }
    return _Calibrated(choice=choice, source=source, ranges=ranges)


def _alpha(settings: QuantizeSettings) -> float | None:
    """Return SmoothQuant's alpha, None for off."""
    if settings.smooth_quant == "auto":
        return ALPHA
    return None if settings.smooth_quant == "off" else float(settings.smooth_quant)


def _activations(layers: Sequence[Linear]) -> list[ir.Value]:
    """Return the tensors that the layers read, each once."""
    return list({layer.activation.name: layer.activation for layer in layers}.values())


def _read_back(artifact: Artifact, path: Path, choice: _Choice) -> dict[str, Any]:
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
    for layer in choice.layers:
        found = executed.get(layer.name)
        if found is None or not found.integer:
            kernel = found.kernel if found else "no kernel of that name"
            raise QuantizationError(
                f"{layer.name}: was quantized, but onnxruntime executes {kernel}; "
                "keep the layer float with --keep-float, or try the other --mode"
            )
    return {
        "int8_coverage": execution.int8_coverage,
        "kernels": execution.kernels,
        "quantized_layers": len(choice.layers),
        "quantized_tables": [table.name for table in choice.tables],
        "kept_float": list(choice.kept),
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
