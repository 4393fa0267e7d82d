"""The section `quantize` of a recipe, and those inside it.

Mode static without `plain` has every technique that costs little; what is said of one of them holds in any case.
Dynamic ranges need no data, which the techniques would, so mode dynamic has none that is not asked for. Mode auto
chooses.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from quantkit.recipe.fields import Cli, Section, Was
from quantkit.recipe.kinds import CalibrationData, Dataset, RayAddress, Seconds
from quantkit.recipe.marks import NotInKey
from quantkit.tables import ENGINES, RANGE_METHODS, ROUNDINGS, OneOf

QUESTIONS, FEW_QUESTIONS = 200, 100
"""Calibrated on unless somebody says otherwise; few for the plain form, and for a search, which needs others too."""
AutoOrOff = Literal["auto", "off"]
SAME_BYTES = NotInKey(because="where calibration runs changes no byte of what is made")

# What the section of quantize says for all layers and an entry of `schemes` for some.
SmoothQuant = Annotated[
    AutoOrOff | float,
    Field(
        description="SmoothQuant alpha, 0 to 1; auto: factors of least expected output error, off for dynamic"
    ),
]
RangeMethod = Annotated[
    str, OneOf(RANGE_METHODS), Field(description="how ranges are taken from what was observed")
]
Symmetric = Annotated[bool, Field(description="activation ranges around zero (zero point 128)")]
Rounding = Annotated[str, OneOf(ROUNDINGS), Field(description="how weights become levels")]
BiasCorrection = Annotated[
    bool, Field(description="move the mean output error on the calibration data into the bias")
]
OutlierChannels = Annotated[
    AutoOrOff,
    Field(
        description="auto: multiply eight channels in float where they make a quarter or more of a layer's rounding "
        "noise; for static with calib_method minmax"
    ),
]
SplitChannels = Annotated[
    AutoOrOff,
    Field(
        description="auto: make sixteen copies of channels that stick out, where the layer before can; for static with "
        "smooth_quant"
    ),
]


def _with_techniques(above: dict[str, Any]) -> bool:
    """Tell, from the fields above, whether techniques are used without being asked for."""
    return above["mode"] == "static" and not above["plain"]


def _smooth_quant(above: dict[str, Any]) -> SmoothQuant:
    return "off" if above["plain"] else "auto"


def _rounding(above: dict[str, Any]) -> str:
    return "gptq" if _with_techniques(above) else "nearest"


def _outlier_channels(above: dict[str, Any]) -> AutoOrOff:
    """Return auto where the range is that of all values, and no copies are made of the same channels."""
    fits = above["calib_method"] == "minmax" and above["split_channels"] == "off"
    return "auto" if _with_techniques(above) and fits else "off"


class KeepFloat(Section):
    """Layers that stay FP32, and why."""

    pattern: str = Field(min_length=1, description="glob over layer names, such as *.attention.self.query")
    because: str = Field(default="", description="the reason, with its number")


class LayerScheme(Section):
    """How the layers that a pattern names are computed; what is left out is as the section says."""

    pattern: str = Field(min_length=1, description="glob over layer names, such as *.output.dense")
    scheme: Literal["static", "dynamic", "blockwise"] | None = None
    smooth_quant: SmoothQuant | None = None
    calib_method: RangeMethod | None = None
    symmetric: Symmetric | None = None
    outlier_channels: PositiveInt | OutlierChannels | None = Field(
        default=None, description="so many inputs are multiplied in float, or as the section says it"
    )
    split_channels: PositiveInt | SplitChannels | None = Field(
        default=None, description="so many copies of channels that stick out, or as the section says it"
    )
    rounding: Rounding | None = None
    bias_correction: BiasCorrection | None = None
    weight_type: Literal["int8-pairs", "uint8"] | None = Field(
        default=None, description="grid of the weights, of those that are exact on every CPU"
    )
    block_size: Literal[16, 32, 64, 128, 256] | None = Field(
        default=None, description="inputs that share a scale, for blockwise"
    )
    because: str = Field(default="", description="the reason, with its number")


class AutoSettings(Section):
    """What `mode: auto` searches for, and on what."""

    target: float = Field(
        default=0.9995,
        gt=0,
        le=2,
        description="least ratio to the FP32 score on the selection; stricter than the gate, as it asks others",
    )
    select: CalibrationData | None = Field(
        default=None,
        description="labelled questions that candidates are judged on; default: more of the calibration file",
    )
    select_questions: Annotated[int, Was("select_samples")] = Field(
        default=800, ge=2, description="questions taken from the selection"
    )
    gate_data: Dataset | None = Field(
        default=None,
        description="the gate's questions, which the selection must not hold; default: the task's",
    )
    slack: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="share of the fastest passing candidate's cost that may be added for less damage",
    )
    min_int8_coverage: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="least share of linear MACs in integer kernels, as the gate will ask for",
    )
    budget: Seconds = Field(default=900.0, gt=0, description="time for the whole search")
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="one-sided confidence that the expected score keeps the target",
    )


_KEEP = Cli(
    names=("--keep-float", "--nodes-to-exclude"),
    metavar="PATTERN",
    item="pattern",
    beside=(("because", "asked for on the command line"),),
)


class QuantizeSettings(Section):
    """fused artifact → INT8 artifact."""

    mode: Literal["dynamic", "static", "auto"] = Field(
        default="static",
        description="activation ranges at run time, calibrated, or the fastest choice per layer that keeps the target",
    )
    plain: Annotated[bool, Cli(gives=True)] = Field(
        default=False,
        description="static without the techniques that it has by default; those that are given too are used",
    )
    calib: CalibrationData | None = Field(
        default=None,
        description="calibration questions: squad (MLPerf's 100), squad-train, another shipped set, or a file in the "
        "task's format",
    )
    calib_questions: Annotated[int | None, Was("calib_samples")] = Field(
        default=None,
        ge=0,
        description="questions taken from the calibration set; default: 200, or 100 "
        "if plain or for a search, or all where there are fewer",
    )
    calib_method: RangeMethod = "minmax"
    percentile: float = Field(default=99.99, gt=50, le=100, description="for calib_method percentile")
    per_channel: bool = Field(default=True, description="one weight scale per output channel")
    symmetric: Symmetric = False
    reduce_range: Literal["auto", "yes", "no"] = Field(
        default="auto",
        description="7-bit weights; auto: never, as int8 keeps the pair limit where a target without VNNI needs it",
    )
    weight_type: Literal["auto", "int8", "int8-pairs", "uint8"] = Field(
        default="auto",
        description="auto, int8: int8-pairs where the target has no VNNI; int8-pairs: within the pair limit, exact on "
        "every CPU; uint8: exact too, by slower kernels",
    )
    target_isa: Annotated[str, Cli(metavar="NAME")] = Field(
        default="native",
        description="instruction set the artifact is for; native: this processor's, the only ones validated here; any: "
        "all of them, with sums that none saturates",
    )
    smooth_quant: SmoothQuant = Field(
        default_factory=_smooth_quant,
        description="SmoothQuant alpha, 0 to 1; auto: factors of least expected output error, off for dynamic; "
        "default: auto, off if plain",
    )
    rounding: Rounding = Field(
        default_factory=_rounding,
        description="how weights become levels; default: gptq for static, nearest if plain or dynamic",
    )
    bias_correction: BiasCorrection = Field(
        default_factory=_with_techniques,
        description="move the mean output error on the calibration data into the bias; default: yes for static, "
        "no if plain",
    )
    channel_shift: bool = Field(
        default_factory=_with_techniques,
        description="centre channels on zero before they are rounded, where biases take it back for nothing; default: "
        "yes for static, no if plain",
    )
    split_channels: SplitChannels = "off"
    outlier_channels: OutlierChannels = Field(
        default_factory=_outlier_channels,
        description="auto: multiply eight channels in float where they make a quarter or more of a layer's rounding "
        "noise; for static with calib_method minmax; default: auto for static, off if plain or with split_channels",
    )
    attention: Literal["float", "qk"] = Field(
        default="float", description="qk: queries and keys to INT8 too, which OpenVINO multiplies as such"
    )
    layout: Literal["auto", "onnxruntime", "onnxruntime-avx2", "portable", "fused"] = Field(
        default="auto",
        description="operators the graph is written in: onnxruntime's fastest on a CPU, or on one without AVX-512, no "
        "new ones of its own, or as fused; auto: onnxruntime, for target avx2 onnxruntime-avx2, and fused with "
        "attention qk, which is for OpenVINO",
    )
    schemes: Annotated[tuple[LayerScheme, ...], Cli(option=False)] = Field(
        default=(),
        description="layers that are computed otherwise; the first pattern that fits wins",
        strict=False,
    )
    keep_float: Annotated[tuple[KeepFloat, ...], _KEEP] = Field(
        default=(),
        description="layers and tables that stay FP32, such as '*.attention.self.query'; a pattern that matches "
        "nothing is an error",
        strict=False,
    )
    engine: Annotated[str, OneOf(ENGINES, only=("threads", "ray")), SAME_BYTES] = Field(
        default="threads",
        exclude=True,
        description="where calibration runs; what is made is the same",
    )
    ray_address: Annotated[RayAddress | None, SAME_BYTES] = Field(
        default=None,
        exclude=True,
        description="engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here",
    )
    auto: Annotated[AutoSettings, NotInKey(because="only a search looks at it", unless=("mode", "auto"))] = (
        Field(default=AutoSettings(), description="for mode auto")
    )
    seed: int = Field(default=0, ge=0, description="seed of the calibration sample")

    @property
    def at_most(self) -> int | None:
        """How many calibration questions are taken if there are so many; None where the number is given."""
        if self.calib_questions is not None:
            return None
        return FEW_QUESTIONS if self.plain or self.mode == "auto" else QUESTIONS

    def layout_for(self, target: str) -> str:
        """Return the layout that is meant, `auto` resolved.

        Args:
            target: name of the kernels the artifact is for (`quantkit.runtime.cpu.TargetIsa`).
        """
        if self.layout != "auto":
            return self.layout
        if self.attention == "qk":
            return "fused"
        return "onnxruntime-avx2" if target == "avx2" else "onnxruntime"
