"""Treatments of the whole model: decided once, for every layer that reads a tensor, whatever its choice; float too."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import onnx_ir as ir

from quantkit.quantization.observe.statistics import Statistics


class ModelDecision(ABC):
    """What is done to tensors of one model; its length is how many."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many tensors are treated."""

    @abstractmethod
    def view(self, statistics: Mapping[str, Statistics]) -> dict[str, Statistics]:
        """Return tensor name → statistics as the layers see it, given what was seen."""

    @abstractmethod
    def rewrite(self, model: ir.Model) -> None:
        """Do it to a float model in place; what is computed stays the same up to rounding."""


class ModelTreatment(ABC):
    """One thing that is done to the channels of every tensor of a model where it can be.

    Attributes:
        setting: what recipes and options call it; true or false.
        nothing: why none may have been found that can be treated, and what to do.
    """

    setting: ClassVar[str]
    nothing: ClassVar[str]

    @staticmethod
    @abstractmethod
    def decide(model: ir.Model, statistics: Mapping[str, Statistics]) -> ModelDecision:
        """Return what to do to a float model, given statistics of what its linear layers read."""
