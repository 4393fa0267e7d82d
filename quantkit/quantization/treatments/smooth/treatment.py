"""Smoothing as a choice has it: an alpha, or the factors of least expected error."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
import onnx_ir as ir

from quantkit.graph.linear import Linear
from quantkit.quantization.choice import INTEGER, Choice, Decision, Misfit, Scheme, Treatment, View
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.smooth.alpha import alpha_factors
from quantkit.quantization.treatments.smooth.fold import smooth
from quantkit.quantization.treatments.smooth.least_error import least_error_factors


@dataclass(frozen=True, slots=True)
class Smooth(Treatment):
    """SmoothQuant with an alpha; "auto": the factors of least expected error."""

    alpha: Literal["auto"] | float = "auto"
    setting: ClassVar[str] = "smooth_quant"
    schemes: ClassVar[tuple[Scheme, ...]] = INTEGER
    kernel: ClassVar[str] = "input_smooth"
    lost: ClassVar[str] = "the Mul of smoothing; measure it unsmoothed"

    @classmethod
    def asked(cls, value: Literal["auto"] | float) -> Self:
        """Return the treatment that a setting's value asks for."""
        return cls(value)

    @classmethod
    def of_section(cls, value: Literal["auto", "off"] | float, scheme: Scheme) -> Self | None:
        """Return what a section's value asks for; "auto" is off for dynamic layers, which need no calibration then."""
        return None if value == "off" or (value == "auto" and scheme == "dynamic") else cls(value)

    @property
    def value(self) -> float | str:
        """The alpha."""
        return self.alpha

    @property
    def label(self) -> str:
        """What people read."""
        return "smooth" if self.alpha == "auto" else f"smooth {self.alpha}"

    def misfit(self, choice: Choice) -> Misfit | None:
        """Refuse what is no alpha."""
        del choice
        if self.alpha == "auto" or 0 <= self.alpha <= 1:
            return None
        wrong = f"{self.alpha:g}: alpha lies between 0 and 1"
        return Misfit(entry=f"{self.setting} {wrong}", option=f"--smooth-quant {wrong}")

    def decide(self, view: View, choice: Choice) -> "Factors":
        """Return the factors: 1 for channels that are computed in float; "auto" with GPTQ takes the moment."""
        if self.alpha == "auto":
            gptq = choice.rounding == "gptq"
            factors = least_error_factors(view.seen, view.matrices, gptq=gptq, grid=choice.grid)
        else:
            factors = alpha_factors(view.seen.magnitude, view.matrices, self.alpha)
        factors[view.apart] = 1
        return Factors(factors=factors)

    def timed(self, *, foldable: bool) -> "Smooth | None":
        """Return a Mul, whatever the factors; None where the layer before takes them."""
        return None if foldable else Smooth()

    def example(self, inputs: int) -> "Factors":
        """Return factors of many values, as real ones are: onnxruntime may move a Mul by a single number elsewhere."""
        return Factors(factors=np.linspace(0.5, 2.0, inputs, dtype=np.float32))


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors(Decision):
    """s, float32 [channels]."""

    factors: np.ndarray

    def values(self, values: np.ndarray) -> np.ndarray:
        """Return x / s."""
        smoothed: np.ndarray = values / self.factors
        return smoothed

    def matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Return s W."""
        scaled: np.ndarray = matrix * self.factors[:, None]
        return scaled

    def statistics(self, seen: Statistics) -> Statistics:
        """Return the statistics of x / s."""
        moment = seen.moment
        return replace(
            seen,
            low=self.values(seen.low),
            high=self.values(seen.high),
            mean=self.values(seen.mean),
            square=seen.square / self.factors.astype(np.float64) ** 2,
            moment=None if moment is None else moment / self.factors / self.factors[:, None],
            sample=None if seen.sample is None else self.values(seen.sample),
        )

    def rewrite(self, model: ir.Model, layers: Sequence[Linear]) -> None:
        """Put 1/s before the layers and s into their weights."""
        smooth(model, layers, {layers[0].activation.name or "": self.factors})

    def parameters(self) -> Sequence[np.ndarray]:
        """Return the factors."""
        return (self.factors,)
