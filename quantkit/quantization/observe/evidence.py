"""Evidence: what calibration saw of a model, and what was made of it.

One evidence serves every assignment of choices to the layers of one model: how a tensor is read and what a weight is
rounded to are found once each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.errors import DatasetError
from quantkit.files import digest_of, sha256_bytes
from quantkit.graph.linear import Linear, linear_layers
from quantkit.quantization.affine import QuantizedWeight
from quantkit.quantization.choice import Choice
from quantkit.quantization.inputs import Reading
from quantkit.quantization.observe.calibration import CalibrationRun, calibration_key, observe
from quantkit.quantization.observe.statistics import Detail, Statistics
from quantkit.quantization.rounding import ROUNDINGS, Problem
from quantkit.quantization.treatments.outliers import outlier_channels, without_channels, without_rows
from quantkit.quantization.treatments.shift import channel_shifts, shifted
from quantkit.quantization.treatments.smooth import smoothing_factors
from quantkit.quantization.treatments.split import find_split
from quantkit.runtime.where import HERE, Where
from quantkit.tasks.calibration_set import CalibrationSet
from quantkit.tasks.prepared import Reader

_TOOLS = ("onnx", "onnx-ir", "onnxruntime", "numpy", "tokenizers")


@dataclass(kw_only=True, slots=True)
class Evidence:
    """What calibration saw, and what was made of it: one evidence serves many assignments of one model.

    Attributes:
        statistics: tensor name → statistics of the unquantized model, shifted; empty when nothing was calibrated.
        shifts: tensor name → what its channels are shifted by, float32 [channels].
        run: the calibration rows, for range methods that need histograms.
        key: digest of model, rows and tools.
    """

    statistics: Mapping[str, Statistics]
    shifts: Mapping[str, np.ndarray] = field(default_factory=dict)
    run: CalibrationRun | None = None
    key: str = ""
    _readings: dict[str, Reading] = field(default_factory=dict)
    _weights: dict[str, QuantizedWeight] = field(default_factory=dict)

    def reading(self, tensor: str, layers: Sequence[Linear], choice: Choice) -> Reading:
        """Return how layers of the unquantized model read their tensor by one choice, found once."""
        names = [layer.name for layer in layers]
        key = digest_of([tensor, names, choice.smooth, choice.rounding, choice.outliers, choice.split])
        if key not in self._readings:
            whole, matrices = self.statistics[tensor], [layer.matrix() for layer in layers]
            split = find_split(whole, matrices, choice.split) if choice.split else None
            if split is not None and not split.copies.size:
                split = None
            seen = whole
            if split is not None:
                seen, matrices = split.statistics(whole), [split.matrix(matrix) for matrix in matrices]
            smoothed = choice.smooth is not None
            outliers = outlier_channels(seen, matrices, choice.outliers, smoothed=smoothed)
            factors = None
            if choice.smooth is not None:
                factors = smoothing_factors(
                    without_channels(seen, outliers),
                    [without_rows(matrix, outliers) for matrix in matrices],
                    choice.smooth,
                    gptq=choice.rounding == "gptq",
                )
                factors[outliers] = 1
            self._readings[key] = Reading(whole=whole, outliers=outliers, factors=factors, split=split)
        return self._readings[key]

    def weight(self, problem: Problem, rounding: str) -> QuantizedWeight:
        """Return the rounded weight, rounded once for the same matrix, moments and grid."""
        moment = b"" if problem.moment is None else np.ascontiguousarray(problem.moment).tobytes()
        grid = f"{problem.name} {rounding} {problem.per_channel} {problem.weight_type}"
        matrix = np.ascontiguousarray(problem.matrix).tobytes()
        key = digest_of([grid, sha256_bytes(matrix), sha256_bytes(moment)])
        if key not in self._weights:
            self._weights[key] = ROUNDINGS[rounding](problem)
        return self._weights[key]


def collect(
    artifact: Artifact,
    model: ir.Model,
    calibration_set: CalibrationSet,
    *,
    detail: Detail,
    shift: bool = False,
    where: Where = HERE,
) -> Evidence:
    """Run the calibration rows through the model, once.

    Args:
        artifact: the FP32 artifact.
        model: its graph, as it will be quantized.
        calibration_set: the examples.
        detail: how much is kept of every tensor (`Choice.detail`).
        shift: channels are centred where that costs nothing (`quantkit.quantization.treatments.shift`).
        where: they run; what is seen is the same.

    Raises:
        DatasetError: the set holds no text.
        CheckpointError: the tokenizer is missing, or is not the model's.
        EvaluationError: an activation is NaN or infinite.
    """
    reader = Reader.of(artifact)
    read = reader.prepare(calibration_set.dataset)
    if all(np.isin(row.input_ids, reader.tokenizer.special_ids).all() for row in read.rows):
        raise DatasetError(
            f"{calibration_set.dataset.path}: its {len(calibration_set.ids)} calibration questions hold no text; "
            "give questions and paragraphs with text as --calib"
        )
    run = CalibrationRun(
        rows=read.rows,
        pad_id=read.pad_id,
        model_name=str(artifact.model_path),
        where=where,
    )
    # Of every layer, whatever becomes of it: what is seen then depends on nothing but the model and the rows.
    layers = linear_layers(model.graph)
    tensors = list({layer.activation.name: layer.activation for layer in layers}.values())
    matters: dict[str, object] = {
        "tensors": [tensor.name for tensor in tensors],
        "features": reader.settings.as_json(),
        **tool_versions(*_TOOLS),
    }
    key = calibration_key(artifact.digest, calibration_set.dataset.digest, matters)
    widest = max((layer.shape[0] for layer in layers), default=0)
    if detail >= Detail.MOMENTS and run.tokens() < widest:
        raise DatasetError(
            f"{calibration_set.dataset.path}: {run.tokens():,} tokens in {len(calibration_set.ids)} calibration "
            f"questions are too few for the second moments of {widest:,} channels, which GPTQ needs; "
            "give more questions, or choose rounding nearest"
        )
    statistics = observe(model, tensors, run, key=key, detail=detail)
    if not shift:
        return Evidence(statistics=statistics, run=run, key=key)
    shifts = channel_shifts(model, statistics)
    centred = {
        name: shifted(seen, shifts[name]) if name in shifts else seen for name, seen in statistics.items()
    }
    return Evidence(statistics=centred, shifts=shifts, run=run, key=digest_of([key, "shifted"]))
