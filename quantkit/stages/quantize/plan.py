"""What becomes of each layer and table: what cannot be is refused before anything runs, calibration settles more."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import onnx_ir as ir

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError, UsageError
from quantkit.graph.linear import Table, embedding_tables, linear_layers, matching
from quantkit.quantization.affine import WeightType
from quantkit.quantization.choice import Choice, choices, nothing_to_quantize, section_choice
from quantkit.quantization.observe.evidence import Evidence
from quantkit.quantization.treatments.settle import settled
from quantkit.recipe.settings import QuantizeSettings
from quantkit.runtime.cpu import TargetIsa
from quantkit.runtime.where import Where


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What becomes of each layer and table; `kept` are the names of what stays float."""

    assignment: dict[str, Choice]
    tables: tuple[Table, ...]
    kept: tuple[str, ...]

    @property
    def quantized(self) -> list[str]:
        """Names of the layers that are to be executed in integers."""
        return [name for name, choice in self.assignment.items() if choice.scheme != "float"]

    @property
    def outliers(self) -> dict[str, int]:
        """Layer name → how many outlier channels it has, for those that have some; of a settled plan."""
        return {name: choice.outliers for name, choice in self.assignment.items() if choice.outliers}

    @property
    def splits(self) -> dict[str, int]:
        """Layer name → how many copies of channels it reads, for those that read some."""
        return {name: choice.split for name, choice in self.assignment.items() if choice.split}

    def settled(self, model: ir.Model, evidence: Evidence) -> Self:
        """Return the plan with what calibration decides."""
        return replace(self, assignment=settled(linear_layers(model.graph), self.assignment, evidence))


def require_usable(artifact: Artifact, settings: QuantizeSettings) -> None:
    """Refuse an artifact that is INT8 already, and settings that contradict each other or would not be used.

    Raises:
        ArtifactError: the artifact is INT8.
        UsageError: naming the setting.
    """
    if artifact.manifest.precision == "int8":
        raise ArtifactError(f"{artifact.path}: is INT8 already; give the FP32 artifact it was made from")
    if settings.mode != "dynamic" and settings.calib is None:
        raise UsageError(
            f"{settings.mode} quantization needs calibration data; give --calib squad, --calib FILE, or --mode dynamic"
        )
    if Where.of(settings).engine == "ray" and (settings.mode == "auto" or settings.calib is None):
        raise UsageError(
            "--engine ray: is for calibration, and a search measures on this machine; "
            "give --mode static or --calib, or leave it out"
        )
    section = section_choice(settings)
    if (
        settings.mode == "dynamic"
        and settings.calib is not None
        and not section.calibrated
        and not settings.schemes
        and not settings.channel_shift
        and settings.attention == "float"
    ):
        raise _unused_calibration(settings)
    if settings.calib is None and (section.calibrated or settings.channel_shift):
        raise UsageError(
            "--smooth-quant, --rounding gptq, --bias-correction and --channel-shift need calibration data; "
            "give --calib squad or --calib FILE"
        )
    if settings.outlier_channels == "auto" and settings.mode == "dynamic":
        raise UsageError(
            "--outlier-channels auto: is for static layers, whose ranges are known; choose --mode static"
        )
    if settings.outlier_channels == "auto" and settings.calib_method != "minmax":
        raise UsageError(
            "--outlier-channels auto: leaves the others the range of their extremes, and --calib-method "
            f"{settings.calib_method} would be of all channels; give --calib-method minmax"
        )
    _require_usable_split(settings)
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


def weight_type(settings: QuantizeSettings, target: TargetIsa) -> WeightType:
    """Decide on the weights' grid: auto means 7 bits where u8·s8 products saturate in 16 bits."""
    if settings.weight_type == "uint8":
        return "uint8"
    if settings.reduce_range == "auto":
        return "int7" if target.saturates else "int8"
    return "int7" if settings.reduce_range == "yes" else "int8"


def make_plan(artifact: Artifact, model: ir.Model, settings: QuantizeSettings) -> Plan:
    """Resolve the settings for the layers and tables of this graph.

    Raises:
        RecipeError: a pattern matches nothing.
        QuantizationError: nothing is left to quantize.
        UsageError: a layer needs calibration data and there is none, or there is some that no layer uses.
    """
    layers, tables = linear_layers(model.graph), embedding_tables(model.graph)
    names = [*(layer.name for layer in layers), *(table.name for table in tables)]
    kept = matching(names, [entry.pattern for entry in settings.keep_float])
    assignment = choices(layers, settings, kept)
    if all(choice.scheme == "float" for choice in assignment.values()):
        raise nothing_to_quantize(artifact.model_path, layers)
    _require_calibration(settings, assignment)
    return Plan(
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
    used = calibrated or settings.channel_shift or settings.attention != "float"
    if settings.mode == "dynamic" and settings.calib is not None and not used:
        raise _unused_calibration(settings)


def _require_usable_split(settings: QuantizeSettings) -> None:
    """Refuse copies of channels where they would do nothing.

    Raises:
        UsageError: naming the setting.
    """
    if settings.split_channels == "off":
        return
    if settings.mode == "dynamic":
        raise UsageError(
            "--split-channels auto: is for static layers, whose ranges are known; choose --mode static"
        )
    if settings.smooth_quant == "off":
        raise UsageError(
            "--split-channels auto: does nothing without smoothing, which divides the ranges; "
            "leave --smooth-quant off out"
        )
    if settings.outlier_channels == "auto":
        raise UsageError(
            "--split-channels auto and --outlier-channels auto are two ways to treat the same channels; give one"
        )


def _unused_calibration(settings: QuantizeSettings) -> UsageError:
    return UsageError(
        f"dynamic quantization takes its ranges at run time and would not use --calib {settings.calib}; "
        "leave it out, choose --mode static, or add --smooth-quant or --rounding gptq, which use it"
    )
