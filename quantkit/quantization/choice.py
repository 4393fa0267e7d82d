"""Choice: how one linear layer is computed, a value made of values; and what every treatment in it has to answer."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import onnx_ir as ir

from quantkit.graph.linear import Linear
from quantkit.quantization.grids import INT8, UINT8, Grid
from quantkit.quantization.observe.range import RangeRule
from quantkit.quantization.observe.statistics import Detail, Statistics

Scheme = Literal["float", "static", "dynamic", "blockwise"]
BLOCK_SIZE = 128
INTEGER: tuple[Scheme, ...] = ("static", "dynamic")
"""Schemes that round activations of a whole tensor, and weights by a rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """Why something does nothing, or no good, in a choice.

    Attributes:
        entry: in the words of an entry of `schemes`.
        option: in the words of the command's options.
    """

    entry: str
    option: str


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A tensor and the weights that read it, as the treatments before leave them.

    Attributes:
        seen: statistics of the tensor.
        matrices: the weights, [channels, outputs] each.
        apart: channels that are computed in float already, int64; they are at zero in both.
    """

    seen: Statistics
    matrices: Sequence[np.ndarray]
    apart: np.ndarray


class Decision:
    """What a treatment does to one tensor and to the weights that read it; what is not said stays as it is.

    x W becomes `values(x)` `matrix(W)`, and `product(x, W)` beside it for channels that are taken apart.
    """

    @property
    def apart(self) -> np.ndarray:
        """Channels that are computed in float beside the integers, int64.

        The weights of the graph keep their rows until they have been rounded; then `beside` adds the product.
        """
        return np.zeros(0, np.int64)

    def values(self, values: np.ndarray) -> np.ndarray:
        """Return values [..., channels] of the tensor as they are rounded; rising in each channel."""
        return values

    def matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Return a weight [channels, outputs] as it is rounded."""
        return matrix

    def statistics(self, seen: Statistics) -> Statistics:
        """Return the statistics of `values`."""
        return seen

    def product(self, values: np.ndarray, matrix: np.ndarray) -> np.ndarray | None:
        """Return what is computed in float beside the integers, [..., outputs]; None for nothing."""
        del values, matrix
        return None

    def rewrite(self, model: ir.Model, layers: Sequence[Linear]) -> None:
        """Let layers of a float graph, which read one tensor, read `values` by `matrix`, `apart` excepted."""

    def beside(self, model: ir.Model, layers: Sequence[Linear]) -> None:
        """Add `product` to what the layers compute, once their weights are rounded and biases corrected."""

    def parameters(self) -> Sequence[np.ndarray]:
        """Return the numbers that `rewrite` puts into the graph, where they move all tensors in their last bits."""
        return ()


class Treatment(ABC):
    """One thing that is done to the channels of a tensor before they are rounded: a value in a choice.

    Attributes:
        setting: what recipes and options call it.
        schemes: which can have it.
        treats: two treatments of one choice that treat the same are one too many.
        needs: the setting of another treatment without which it does nothing.
        per_layer: the manifest says of it how many channels each layer has.
        kernel: ending of the name of a node that must be executed when it is there; "" for none.
        lost: what is missing when that node is not, and what to do.
    """

    setting: ClassVar[str]
    schemes: ClassVar[tuple[Scheme, ...]] = ("static",)
    treats: ClassVar[str] = ""
    needs: ClassVar[str] = ""
    per_layer: ClassVar[bool] = False
    kernel: ClassVar[str] = ""
    lost: ClassVar[str] = ""

    @classmethod
    @abstractmethod
    def asked(cls, value: Any) -> Self:
        """Return the treatment that a setting's value, other than off, asks for."""

    @classmethod
    def of_section(cls, value: Any, scheme: Scheme) -> Self | None:
        """Return what a section's value asks for where the layers have this scheme; None for nothing."""
        del scheme
        return None if value == "off" else cls.asked(value)

    @property
    @abstractmethod
    def value(self) -> int | float | str:
        """The value of its setting that asks for it."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What people read; empty while it is open."""

    @property
    def open(self) -> bool:
        """Whether calibration has yet to settle it."""
        return False

    def misfit(self, choice: "Choice") -> Misfit | None:
        """Return why it would do nothing, or no good, in a choice of one of its schemes."""
        del choice
        return None

    def excess(self, layer: str, inputs: int) -> str | None:
        """Return what is wrong with it for a layer of so many inputs, in the words of an entry of `schemes`."""
        del layer, inputs
        return None

    def settled(self, layers: Sequence[Linear], seen: Statistics, choice: "Choice") -> Self | None:
        """Return what calibration makes of it, if it is open, for layers that read one tensor; None for nothing."""
        del layers, seen, choice
        return self

    @abstractmethod
    def decide(self, view: View, choice: "Choice") -> Decision | None:
        """Return what to do to a tensor, as a part of a choice; None for nothing."""

    @classmethod
    def offered(
        cls, layers: Sequence[Linear], seen: Statistics, beside: "Choice", *, foldable: bool
    ) -> Iterator[Self]:
        """Yield those that a search should try for layers that read one tensor, on top of a static choice.

        Args:
            layers: of the float model.
            seen: statistics of the tensor.
            beside: the choice they would join.
            foldable: smoothing costs these layers nothing.
        """
        del layers, seen, beside, foldable
        return iter(())

    def timed(self, *, foldable: bool) -> Self | None:
        """Return what stands for it where its cost is measured; None when it costs nothing."""
        del foldable
        return self

    @abstractmethod
    def example(self, inputs: int) -> Decision:
        """Return a decision like those it comes to, for a tensor of so many channels: what its cost is measured on."""

    def extra_macs(self, outputs: int) -> int:
        """Return the float multiply-accumulates per token that come on top of a layer's."""
        del outputs
        return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """How a layer is computed.

    Attributes:
        scheme: float, static (calibrated ranges), dynamic (ranges at run time), or blockwise (scales for blocks).
        treatments: what is done to channels, in the order in which it is done.
        range: how the range is taken, for static.
        rounding: nearest or gptq, for static and dynamic.
        bias_correction: the mean output error goes into the bias, for static and dynamic.
        grid: of the weights, for static and dynamic.
        per_channel: one weight scale for each output, for static and dynamic.
        block_size: inputs that share a scale, for blockwise.
    """

    scheme: Scheme
    treatments: tuple[Treatment, ...] = ()
    range: RangeRule = field(default_factory=RangeRule)
    rounding: str = "nearest"
    bias_correction: bool = False
    grid: Grid = INT8
    per_channel: bool = True
    block_size: int = BLOCK_SIZE

    def has(self, setting: str) -> bool:
        """Tell whether the treatment that a setting asks for is part of it."""
        return any(treatment.setting == setting for treatment in self.treatments)

    @property
    def calibrated(self) -> bool:
        """Whether it needs anything from calibration data."""
        return self.scheme == "static" or bool(self.treatments) or self.detail > Detail.CHANNELS

    @property
    def detail(self) -> Detail:
        """How much of the layer's input it needs to know."""
        if self.scheme not in INTEGER:
            return Detail.CHANNELS
        if self.rounding == "gptq":
            return Detail.MOMENTS
        return Detail.SAMPLE if self.bias_correction else Detail.CHANNELS

    @property
    def label(self) -> str:
        """What people read: the scheme and what sets it apart, from the integers outwards."""
        if self.scheme == "float":
            return "float"
        if self.scheme == "blockwise":
            return f"blockwise {self.block_size}"
        words = [treatment.label for treatment in reversed(self.treatments)]
        words += ["gptq" if self.rounding == "gptq" else "", "uint8" if self.grid is UINT8 else ""]
        return " ".join(filter(None, [self.scheme, *words]))

    def extra_macs(self, outputs: Sequence[int]) -> int:
        """Return the float multiply-accumulates per token that come on top of the layers'."""
        return sum(treatment.extra_macs(width) for treatment in self.treatments for width in outputs)

    def misfit(self) -> Misfit | None:
        """Return why its parts do not go together; None when they do."""
        for treatment in reversed(self.treatments):
            if self.scheme not in treatment.schemes:
                only = "is for static layers, whose ranges are known; choose --mode static"
                return Misfit(
                    entry=of_no_use(treatment.setting, self.scheme), option=f"--{_option(treatment)}: {only}"
                )
            if found := treatment.misfit(self):
                return found
        for place, one in enumerate(self.treatments):
            for other in self.treatments[place + 1 :]:
                if one.treats and one.treats == other.treats:
                    return _twice(one, other)
        return None


FLOAT = Choice(scheme="float")
Assignment = Mapping[str, Choice]
"""Layer name → choice, for every linear layer of a graph."""


def grouped(layers: Sequence[Linear], assignment: Assignment) -> dict[tuple[str, Choice], list[Linear]]:
    """Return (tensor, choice) → the layers that read that tensor by that choice, in graph order."""
    found: dict[tuple[str, Choice], list[Linear]] = defaultdict(list)
    for layer in layers:
        found[layer.activation.name or "", assignment[layer.name]].append(layer)
    return dict(found)


def of_no_use(setting: str, scheme: Scheme) -> str:
    """Return what is wrong with a setting that says nothing of layers of a scheme, for an entry of `schemes`."""
    return f"{setting} does nothing for {scheme} layers; leave it out, or give another scheme"


def _twice(one: Treatment, other: Treatment) -> Misfit:
    ways = "are two ways to treat the same channels; give one"
    return Misfit(
        entry=f"{one.setting} and {other.setting} {ways} of them",
        option=f"--{_option(one)} and --{_option(other)} {ways}",
    )


def _option(treatment: Treatment) -> str:
    return f"{treatment.setting.replace('_', '-')} {treatment.value}"
