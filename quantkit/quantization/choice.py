"""Choice: how one linear layer is computed. A recipe's section and its `schemes` resolve to one for every layer."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from quantkit.errors import QuantizationError, RecipeError
from quantkit.graph.linear import Linear, matching
from quantkit.quantization.observe.statistics import Detail
from quantkit.recipe.settings import LayerScheme, QuantizeSettings

Scheme = Literal["float", "static", "dynamic", "blockwise"]
BLOCK_SIZE = 128
# What an entry of `schemes` may say of layers of each scheme; anything else would do nothing.
_INTEGER = ("smooth_quant", "rounding", "bias_correction")
_SETTINGS: dict[Scheme, tuple[str, ...]] = {
    "static": (*_INTEGER, "calib_method", "symmetric", "outlier_channels", "split_channels"),
    "dynamic": _INTEGER,
    "blockwise": ("block_size",),
}
_ALL = {name for names in _SETTINGS.values() for name in names}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """How a layer is computed.

    Attributes:
        scheme: float, static (calibrated ranges), dynamic (ranges at run time), or blockwise (scales for blocks).
        smooth: SmoothQuant alpha, "auto" for the factors of least expected error, None for none.
        method: range estimator, for static.
        percentile: for the estimator of that name.
        symmetric: range around zero, for static.
        outliers: channels that are multiplied in float, for static with the range of the others' extremes.
        find_outliers: calibration has yet to settle how many (`quantkit.quantization.treatments.settle`).
        split: copies of channels that stick out, for static with smoothing (`quantkit.quantization.treatments.split`).
        find_split: calibration has yet to settle how many.
        rounding: nearest or gptq, for static and dynamic.
        bias_correction: the mean output error goes into the bias, for static and dynamic.
        block_size: inputs that share a scale, for blockwise.
    """

    scheme: Scheme
    smooth: Literal["auto"] | float | None = None
    method: str = "minmax"
    percentile: float = 99.99
    symmetric: bool = False
    outliers: int = 0
    find_outliers: bool = False
    split: int = 0
    find_split: bool = False
    rounding: str = "nearest"
    bias_correction: bool = False
    block_size: int = BLOCK_SIZE

    @property
    def calibrated(self) -> bool:
        """Whether it needs anything from calibration data."""
        return self.scheme == "static" or self.smooth is not None or self.detail > Detail.CHANNELS

    @property
    def detail(self) -> Detail:
        """How much of the layer's input it needs to know."""
        if self.scheme not in ("static", "dynamic"):
            return Detail.CHANNELS
        if self.rounding == "gptq":
            return Detail.MOMENTS
        return Detail.SAMPLE if self.bias_correction else Detail.CHANNELS

    @property
    def label(self) -> str:
        """What people read: the scheme and what sets it apart."""
        if self.scheme == "blockwise":
            return f"blockwise {self.block_size}"
        if self.scheme == "float":
            return "float"
        smooth = {None: "", "auto": " smooth"}.get(self.smooth, f" smooth {self.smooth}")  # type: ignore[arg-type]
        outliers = f" outliers {self.outliers}" if self.outliers else ""
        split = f" split {self.split}" if self.split else ""
        return f"{self.scheme}{smooth}{outliers}{split}{' gptq' if self.rounding == 'gptq' else ''}"


FLOAT = Choice(scheme="float")


def section_choice(settings: QuantizeSettings) -> Choice:
    """Return what the section says of every layer that no pattern names; mode auto is not resolved here."""
    dynamic = settings.mode == "dynamic"
    return _normal(
        Choice(
            scheme="dynamic" if dynamic else "static",
            smooth=None if dynamic and settings.smooth_quant == "auto" else _smooth(settings.smooth_quant),
            method=settings.calib_method,
            percentile=settings.percentile,
            symmetric=settings.symmetric,
            find_outliers=settings.outlier_channels == "auto",
            find_split=settings.split_channels == "auto",
            rounding=settings.rounding,
            bias_correction=settings.bias_correction,
        )
    )


def choices(layers: Sequence[Linear], settings: QuantizeSettings, kept: set[str]) -> dict[str, Choice]:
    """Return layer name → choice: `kept` stays float, then the first entry of `schemes` that fits, then the section.

    Raises:
        RecipeError: a pattern of `schemes` matches nothing, an entry says what its scheme does not use, or an alpha is
            none.
    """
    names = [layer.name for layer in layers]
    section, widths = section_choice(settings), {layer.name: layer.shape[0] for layer in layers}
    found = {name: FLOAT if name in kept else section for name in names}
    # From the last to the first: the first that fits is written over the others.
    for entry in reversed(settings.schemes):
        choice = _overridden(section, entry)
        fitting = matching(names, [entry.pattern], key="schemes") - kept
        for name in (name for name in names if name in fitting):
            if choice.split > widths[name]:
                raise RecipeError(
                    f"schemes: {entry.pattern}: split_channels {choice.split} are more copies than {name} has "
                    f"inputs, {widths[name]}; take fewer"
                )
            if choice.outliers > widths[name] // 2:
                raise RecipeError(
                    f"schemes: {entry.pattern}: outlier_channels {choice.outliers} are more than half of the "
                    f"{widths[name]} inputs of {name}; take fewer, or keep the layer float"
                )
            found[name] = choice
    return found


def nothing_to_quantize(model: Path, layers: Collection[object]) -> QuantizationError:
    """Return the error of a model in which every layer stays float: `layers` are its linear layers, if any."""
    reason = "keep_float spares every layer" if layers else "the graph has no MatMul with a constant weight"
    return QuantizationError(f"{model}: nothing to quantize: {reason}")


def _overridden(section: Choice, entry: LayerScheme) -> Choice:
    """Return the section's choice with what an entry says otherwise."""
    scheme = entry.scheme or section.scheme
    method = entry.calib_method or section.method
    smooth = section.smooth if entry.smooth_quant is None else _smooth(entry.smooth_quant)
    # An entry that treats outliers in one way does without the section's other way.
    treated = [
        asked for asked in (entry.outlier_channels, entry.split_channels) if asked not in (None, "off")
    ]
    outliers, found = _counted(entry.outlier_channels, section.find_outliers and not treated)
    copies, found_copies = _counted(
        entry.split_channels, section.find_split and not treated and smooth is not None
    )
    _require_meaningful(entry, scheme)
    if len(treated) > 1:
        raise RecipeError(
            f"schemes: {entry.pattern}: split_channels and outlier_channels are two ways to treat the same channels; "
            "give one of them"
        )
    if (copies or found_copies) and smooth is None:
        raise RecipeError(
            f"schemes: {entry.pattern}: split_channels does nothing without smoothing, which divides the ranges; "
            "give smooth_quant too"
        )
    if (found or outliers) and scheme == "static" and method != "minmax":
        raise RecipeError(
            f"schemes: {entry.pattern}: outlier_channels leaves the others the range of their extremes, and "
            f"calib_method {method} would be of all channels; give calib_method minmax"
        )
    return _normal(
        replace(
            section,
            scheme=scheme,
            smooth=smooth,
            method=method,
            symmetric=section.symmetric if entry.symmetric is None else entry.symmetric,
            outliers=outliers,
            find_outliers=found,
            split=copies,
            find_split=found_copies,
            rounding=entry.rounding or section.rounding,
            bias_correction=section.bias_correction
            if entry.bias_correction is None
            else entry.bias_correction,
            block_size=entry.block_size or BLOCK_SIZE,
        )
    )


def _require_meaningful(entry: LayerScheme, scheme: Scheme) -> None:
    """Refuse what would silently do nothing, or no good."""
    for name in sorted(_ALL):
        if getattr(entry, name) is not None and name not in _SETTINGS[scheme]:
            raise RecipeError(
                f"schemes: {entry.pattern}: {name} does nothing for {scheme} layers; "
                "leave it out, or give another scheme"
            )
    if isinstance(entry.smooth_quant, float) and not 0 <= entry.smooth_quant <= 1:
        raise RecipeError(
            f"schemes: {entry.pattern}: smooth_quant {entry.smooth_quant:g}: alpha lies between 0 and 1"
        )


def _counted(asked: int | Literal["auto", "off"] | None, by_section: bool) -> tuple[int, bool]:
    """Return how many channels an entry asks for, and whether calibration is to settle that."""
    if asked is None:
        return 0, by_section
    return (asked, False) if isinstance(asked, int) else (0, asked == "auto")


def _smooth(setting: Literal["auto", "off"] | float) -> Literal["auto"] | float | None:
    return None if setting == "off" else setting


def _normal(choice: Choice) -> Choice:
    """Return the choice with everything its scheme does not use at its default, so that equal ones are equal."""
    if choice.scheme == "blockwise":
        return Choice(scheme="blockwise", block_size=choice.block_size)
    if choice.scheme == "dynamic":
        return replace(
            choice,
            method="minmax",
            percentile=99.99,
            symmetric=False,
            find_outliers=False,
            find_split=False,
            block_size=BLOCK_SIZE,
        )
    percentile = choice.percentile if choice.method == "percentile" else 99.99
    return replace(choice, percentile=percentile, block_size=BLOCK_SIZE)
