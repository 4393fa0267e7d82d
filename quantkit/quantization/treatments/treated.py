"""One model as its quantized layers see it: how tensors are read, and what weights become, found once each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from quantkit.files import digest_of, sha256_bytes
from quantkit.graph.linear import Linear
from quantkit.quantization.choice import Choice
from quantkit.quantization.grids import QuantizedWeight
from quantkit.quantization.observe.observations import Observations
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.rounding import ROUNDINGS, Problem
from quantkit.quantization.treatments.reading import Inputs, Reading, read
from quantkit.quantization.treatments.whole_model import ModelDecision, ModelTreatment


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundedLayer:
    """A layer's weight on its grid, and what the mean output is off by, float32 [outputs], where that is corrected."""

    name: str
    weight: QuantizedWeight
    correction: np.ndarray | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Treated:
    """What is made of the observations of one model; it serves every assignment of choices to its layers.

    Attributes:
        observations: what calibration saw; nothing when nothing was calibrated.
        whole: what is done to the model once for all choices: setting → decision, in order.
    """

    observations: Observations = field(default_factory=Observations)
    whole: Mapping[str, ModelDecision] = field(default_factory=dict)
    _readings: dict[tuple[object, ...], Reading] = field(default_factory=dict)
    _weights: dict[str, QuantizedWeight] = field(default_factory=dict)
    _statistics: dict[str, Statistics] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look at the statistics as the model is treated."""
        statistics = self.observations.statistics
        for decision in self.whole.values():
            statistics = decision.view(statistics)
        self._statistics.update(statistics)

    @property
    def statistics(self) -> Mapping[str, Statistics]:
        """Tensor name → statistics of the treated, unquantized model."""
        return self._statistics

    @property
    def key(self) -> str:
        """Digest of model, rows, tools, and what is done to the model."""
        return digest_of([self.observations.key, *self.whole]) if self.whole else self.observations.key

    def reading(self, tensor: str, layers: Sequence[Linear], choice: Choice) -> Reading:
        """Return how layers of the unquantized model read their tensor by one choice, found once."""
        key = (tensor, *(layer.name for layer in layers), choice.treatments, choice.rounding, choice.grid)
        if key not in self._readings:
            matrices = [layer.matrix() for layer in layers]
            self._readings[key] = read(self.statistics[tensor], matrices, choice)
        return self._readings[key]

    def rounded(
        self, weights: Iterable[tuple[str, np.ndarray]], choice: Choice, inputs: Inputs | None
    ) -> Iterator[RoundedLayer]:
        """Yield every layer's weight as a choice rounds it, and its correction.

        Args:
            weights: layer name and matrix [channels, outputs], less what is computed apart (`Reading.matrix`).
            choice: static or dynamic.
            inputs: what the layers read; None when the choice asks for nothing of them.

        Raises:
            RecipeError: the rounding needs calibration data and there is none.
            QuantizationError: a weight is NaN or infinite.
        """
        moment = inputs.moment() if inputs and choice.rounding == "gptq" else None
        for name, matrix in weights:
            problem = Problem(
                name=name,
                matrix=matrix,
                moment=moment,
                per_channel=choice.per_channel,
                grid=choice.grid,
            )
            weight = self._weight(problem, choice.rounding)
            corrected = inputs is not None and choice.bias_correction
            correction = inputs.shift(matrix, weight) if inputs and corrected else None
            yield RoundedLayer(name=name, weight=weight, correction=correction)

    def _weight(self, problem: Problem, rounding: str) -> QuantizedWeight:
        """Return the rounded weight, rounded once for the same matrix, moments and grid."""
        moment = b"" if problem.moment is None else np.ascontiguousarray(problem.moment).tobytes()
        grid = f"{problem.name} {rounding} {problem.per_channel} {problem.grid.name}"
        matrix = np.ascontiguousarray(problem.matrix).tobytes()
        key = digest_of([grid, sha256_bytes(matrix), sha256_bytes(moment)])
        if key not in self._weights:
            self._weights[key] = ROUNDINGS[rounding](problem)
        return self._weights[key]


def treat(model: ir.Model, observations: Observations, kinds: Iterable[type[ModelTreatment]] = ()) -> Treated:
    """Decide on what is done to the whole model.

    Args:
        model: a float model; it is not changed.
        observations: of it.
        kinds: the treatments that were asked for, in order.
    """
    statistics, whole = observations.statistics, {}
    for kind in kinds:
        whole[kind.setting] = decision = kind.decide(model, statistics)
        statistics = decision.view(statistics)
    return Treated(observations=observations, whole=whole)
