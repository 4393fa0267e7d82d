"""Observations: what calibration saw of a model, and with which rows more can be seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.graph.linear import linear_layers
from quantkit.quantization.observe.cache import calibration_key
from quantkit.quantization.observe.calibration import observe
from quantkit.quantization.observe.enough import TO_QUANTIZE, require_moments, require_text
from quantkit.quantization.observe.job import CalibrationJob
from quantkit.quantization.observe.statistics import Detail, Statistics
from quantkit.runtime.where import HERE, Where
from quantkit.tasks.calibration_set import CalibrationSet
from quantkit.tasks.prepared import Reader

_TOOLS = ("onnx", "onnx-ir", "onnxruntime", "numpy", "tokenizers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Observations:
    """What calibration saw of one model.

    Attributes:
        statistics: tensor name → statistics of what its linear layers read; empty when nothing was calibrated.
        job: the calibration rows, for what has yet to be seen of them.
        key: digest of model, rows and tools.
    """

    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    job: CalibrationJob | None = None
    key: str = ""


def observe_model(
    artifact: Artifact,
    model: ir.Model,
    calibration_set: CalibrationSet,
    *,
    detail: Detail,
    where: Where = HERE,
    keep: bool = False,
) -> Observations:
    """Run the calibration rows through the model, once.

    Args:
        artifact: the FP32 artifact.
        model: its graph, as it will be quantized.
        calibration_set: the examples.
        detail: how much is kept of every tensor (`Choice.detail`).
        where: they run; what is seen is the same.
        keep: all that is seen stays on disk until `forget` is told the key: for work that goes on for hours.

    Raises:
        DatasetError: the set holds no text, or too few tokens for second moments.
        CheckpointError: the tokenizer is missing, or is not the model's.
        EvaluationError: an activation is NaN or infinite.
    """
    reader = Reader.of(artifact)
    read = reader.prepare(calibration_set.dataset)
    require_text(calibration_set, read.rows, reader.tokenizer.special_ids, advice=TO_QUANTIZE)
    job = CalibrationJob(rows=read.rows, pad_id=read.pad_id, model_name=artifact.model_name, where=where)
    # Of every layer, whatever becomes of it: what is seen then depends on nothing but the model and the rows.
    layers = linear_layers(model.graph)
    if detail >= Detail.MOMENTS:
        widest = max((layer.shape[0] for layer in layers), default=0)
        require_moments(calibration_set, read.rows, widest, advice=TO_QUANTIZE)
    tensors = list({layer.activation.name: layer.activation for layer in layers}.values())
    matters: dict[str, object] = {
        "tensors": [tensor.name for tensor in tensors],
        "features": reader.settings.as_json(),
        **tool_versions(*_TOOLS),
    }
    key = calibration_key(artifact.digest, calibration_set.dataset.digest, matters)
    statistics = observe(model, tensors, job, key=key, detail=detail, keep=keep)
    return Observations(statistics=statistics, job=job, key=key)
