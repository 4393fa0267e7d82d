"""What is refused before anything runs: settings that contradict each other, or that would do nothing."""

from collections.abc import Callable

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError, UsageError
from quantkit.quantization.assignment import section_choice, section_misfit
from quantkit.quantization.choice import Assignment
from quantkit.quantization.treatments import WHOLE_MODEL
from quantkit.recipe.settings import QuantizeSettings
from quantkit.runtime.cpu import ANY
from quantkit.runtime.where import Where


def require_usable(artifact: Artifact, settings: QuantizeSettings) -> None:
    """Refuse an artifact that is INT8 already, and settings that contradict each other or would not be used.

    Raises:
        ArtifactError: the artifact is INT8.
        UsageError: naming the setting.
    """
    if artifact.manifest.precision == "int8":
        raise ArtifactError(f"{artifact.path}: is INT8 already; give the FP32 artifact it was made from")
    for wrong in _WRONG:
        if found := wrong(settings):
            raise UsageError(found)


def require_calibration(settings: QuantizeSettings, assignment: Assignment) -> None:
    """Refuse layers that need calibration data without any, and data that no layer uses.

    Raises:
        UsageError: naming the layer, or the data.
    """
    calibrated = [name for name, choice in assignment.items() if choice.calibrated]
    if settings.calib is None and calibrated:
        raise UsageError(
            f"schemes: {calibrated[0]}: {assignment[calibrated[0]].label} needs calibration data; "
            "give --calib squad or --calib FILE"
        )
    if not calibrated and _idle_calibration(settings):
        raise UsageError(_unused(settings))


def _without_ranges(settings: QuantizeSettings) -> str | None:
    if settings.mode == "dynamic" or settings.calib is not None:
        return None
    return f"{settings.mode} quantization needs calibration data; give --calib squad, --calib FILE, or --mode dynamic"


def _engine(settings: QuantizeSettings) -> str | None:
    if Where.of(settings).engine != "ray" or (settings.mode != "auto" and settings.calib is not None):
        return None
    return (
        "--engine ray: is for calibration, and a search measures on this machine; "
        "give --mode static or --calib, or leave it out"
    )


def _calibration(settings: QuantizeSettings) -> str | None:
    calibrated = section_choice(settings).calibrated
    if not calibrated and not settings.schemes and _idle_calibration(settings):
        return _unused(settings)
    if settings.calib is None and (calibrated or _whole_model(settings)):
        return (
            "--smooth-quant, --rounding gptq, --bias-correction and --channel-shift need calibration data; "
            "give --calib squad or --calib FILE"
        )
    return None


def _treatments(settings: QuantizeSettings) -> str | None:
    found = section_misfit(settings)
    return found.option if found else None


def _attention(settings: QuantizeSettings) -> str | None:
    if settings.attention == "float":
        return None
    if settings.calib is None:
        return "--attention qk needs calibration data; give --calib squad or --calib FILE"
    if settings.mode == "auto":
        return (
            "--attention qk is no part of the search, so what was searched would not be what is written; "
            "run the recipe that --mode auto wrote with --attention qk, and evaluate it"
        )
    return None


def _grid(settings: QuantizeSettings) -> str | None:
    asked = settings.weight_type
    if asked in ("uint8", "int8-pairs") and settings.reduce_range == "yes":
        return f"--weight-type {asked} and --reduce-range yes are two ways to the same end; choose one"
    if settings.target_isa == ANY and asked in ("auto", "int8") and settings.reduce_range == "no":
        return (
            "--target-isa any and --reduce-range no contradict each other: sums of full int8 saturate on x86 without "
            "VNNI; leave one out"
        )
    return None


_WRONG: tuple[Callable[[QuantizeSettings], str | None], ...] = (
    _without_ranges,
    _engine,
    _calibration,
    _treatments,
    _attention,
    _grid,
)
"""Each returns what is wrong with the settings, or None; the first line that is found is the error."""


def _idle_calibration(settings: QuantizeSettings) -> bool:
    """Tell whether there is calibration data that only a layer's choice could use."""
    used = settings.mode != "dynamic" or _whole_model(settings) or settings.attention != "float"
    return settings.calib is not None and not used


def _whole_model(settings: QuantizeSettings) -> bool:
    return any(getattr(settings, kind.setting) for kind in WHOLE_MODEL)


def _unused(settings: QuantizeSettings) -> str:
    return (
        f"dynamic quantization takes its ranges at run time and would not use --calib {settings.calib}; "
        "leave it out, choose --mode static, or add --smooth-quant or --rounding gptq, which use it"
    )
