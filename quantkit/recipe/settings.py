"""The sections of a recipe. Each stage takes its own; the CLI builds the same records from options."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from quantkit.recipe.fields import Cli, Place, Section, Was
from quantkit.recipe.marks import NotInKey
from quantkit.tables import ENGINES, RANGE_METHODS, ROUNDINGS, RUNTIMES, SCENARIOS, TASKS, OneOf

Dataset = Annotated[str, Place("dataset"), Cli(metavar="NAME|FILE")]
CalibrationData = Annotated[str, Place("calibration set"), Cli(metavar="SET|FILE")]
Seconds = Annotated[float, Cli(metavar="SECONDS")]
RayAddress = Annotated[str, Cli(metavar="HOST:PORT")]
AutoOrOff = Literal["auto", "off"]
SAME_BYTES = NotInKey(because="where calibration runs changes no byte of what is made")
SAME_ANSWERS = NotInKey(because="where and how often a model runs at once changes no answer")
SAME_RELEASE = NotInKey(because="how a registry is reached changes no byte of what is published")

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


class ExportSettings(Section):
    """checkpoint → FP32 artifact."""

    opset: int = Field(default=17, ge=14, le=17, description="ONNX opset of the exported graph, 14 to 17")
    atol: float = Field(
        default=1e-4, gt=0, description="largest absolute logit difference to PyTorch that is accepted"
    )
    external_data: Literal["auto", "yes", "no"] = Field(
        default="auto", description="weights in model.onnx.data: auto only when the model is above 2 GB"
    )
    allow_pickle: Annotated[bool, Cli(gives=True)] = Field(
        default=False, description="load pytorch_model.bin if need be; unpickling can run code"
    )
    revision: str | None = Field(default=None, description="revision of a Hugging Face checkpoint")


class FuseSettings(Section):
    """FP32 artifact → fused artifact."""

    enabled: Annotated[bool, Cli(names=("--no-fuse",), gives=False)] = Field(
        default=True, description="false: keep the graph as it was exported"
    )
    embed_layer_norm: bool = Field(
        default=True, description="fuse EmbedLayerNormalization where the model allows it"
    )
    allow_partial: Annotated[bool, Cli(names=("--allow-partial-fusion",), gives=True)] = Field(
        default=False, description="a missing fusion is a warning, not an error"
    )


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
    calib: CalibrationData | None = Field(
        default=None,
        description="calibration questions: squad (MLPerf's 100), squad-train, another shipped set, or a file in the "
        "task's format",
    )
    calib_questions: Annotated[int, Was("calib_samples")] = Field(
        default=100, ge=0, description="questions taken from the calibration set"
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
    smooth_quant: SmoothQuant = "auto"
    rounding: Rounding = "nearest"
    bias_correction: BiasCorrection = False
    channel_shift: bool = Field(
        default=False,
        description="centre channels on zero before they are rounded, where biases take it back for nothing",
    )
    outlier_channels: OutlierChannels = "off"
    split_channels: SplitChannels = "off"
    attention: Literal["float", "qk"] = Field(
        default="float", description="qk: queries and keys to INT8 too, which OpenVINO multiplies as such"
    )
    layout: Literal["auto", "onnxruntime", "portable", "fused"] = Field(
        default="auto",
        description="operators the graph is written in: onnxruntime's fastest on a CPU, no new ones of its own, or as "
        "fused; auto: onnxruntime, but fused with attention qk, which is for OpenVINO",
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
    def chosen_layout(self) -> str:
        """The layout that is meant, `auto` resolved."""
        if self.layout != "auto":
            return self.layout
        return "fused" if self.attention == "qk" else "onnxruntime"


class SensitivitySettings(Section):
    """FP32 artifact → how much each group of layers suffers from INT8."""

    calib: CalibrationData | None = Field(
        default=None,
        description="questions that ranges come from and damage is measured on: a shipped set, or a file",
    )
    calib_questions: Annotated[int, Was("calib_samples")] = Field(
        default=100, ge=1, description="questions the ranges come from"
    )
    questions: int = Field(default=100, ge=1, description="questions the damage is measured on")
    budget: Seconds = Field(
        default=600.0,
        gt=0,
        description="when it is too short for each group alone, groups are measured together",
    )
    seed: int = Field(default=0, ge=0, description="seed of the sample")


class EvaluateSettings(Section):
    """artifact → Evaluation."""

    data: Dataset = Field(default="squad", description="dataset name, or a file in the task's format")
    limit: int | None = Field(default=None, ge=1, description="first N questions only (never for a gate)")
    token_budget: int = Field(default=1024, ge=1, description="tokens per batch, padding included")
    equal_lengths: Annotated[bool, Cli(gives=True)] = Field(
        default=False, description="only rows of one length share a batch, and attention runs without a mask"
    )
    threads: Annotated[int | None, SAME_ANSWERS] = Field(
        default=None, ge=1, description="one-thread instances; default: the artifact's profile, or all cores"
    )
    engine: Annotated[Annotated[str, OneOf(ENGINES)] | None, SAME_ANSWERS] = Field(
        default=None, description="what runs the instances; default: the artifact's profile, or threads"
    )
    ray_address: Annotated[RayAddress | None, SAME_ANSWERS] = Field(
        default=None,
        exclude=True,
        description="engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here",
    )


class GateSettings(Section):
    """two Evaluations → GateReport."""

    min_ratio: float = Field(
        default=0.999, gt=0, le=2, description="least candidate F1 / reference F1, compared unrounded with >="
    )
    reference_f1: float | None = Field(
        default=None,
        ge=1,
        le=100,
        description="fixed reference in percent instead of the baseline's F1, such as MLPerf's 90.874",
    )
    policy: Literal["mlperf", "statistical"] = Field(
        default="mlperf",
        description="mlperf: point estimate on all questions; statistical: paired interval, can be inconclusive",
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="one-sided confidence of the statistical policy"
    )
    min_int8_coverage: float = Field(
        default=0.9, ge=0, le=1, description="least share of linear MACs in integer kernels"
    )
    max_size_mb: float | None = Field(default=None, gt=0, description="largest model, 1 MB = 10^6 bytes")
    resamples: int = Field(default=10_000, ge=100, description="bootstrap resamples")
    seed: int = Field(default=0, ge=0, description="bootstrap seed")


class BenchSettings(Section):
    """artifacts → throughput, interleaved."""

    data: Dataset = Field(default="squad", description="dataset name or file the questions are taken from")
    scenario: Annotated[str, OneOf(SCENARIOS)] = Field(default="offline", description="what is measured")
    questions: int = Field(
        default=200, ge=1, description="questions per measured pass, or per trial of a rate"
    )
    repeats: int = Field(default=5, ge=2, description="fewest interleaved rounds")
    max_repeats: int = Field(default=20, ge=2, description="most rounds, while the result is not sure enough")
    max_spread: float = Field(
        default=0.1,
        gt=0,
        description="widest 90 % interval of a median ratio, relative to it; a wider one is refused",
    )
    profile: Literal["fixed", "tuned"] = Field(
        default="fixed",
        description="the settings below for all, or of each artifact what `quantkit tune` found",
    )
    token_budget: int = Field(default=1024, ge=1, description="tokens per batch, padding included")
    threads: int | None = Field(default=None, ge=1, description="threads in all; default: all cores")
    instances: int | None = Field(
        default=None,
        ge=1,
        description="sessions that share the threads; default: one per thread, for single-stream one",
    )
    runtime: Annotated[str, OneOf(RUNTIMES)] = Field(default="onnxruntime", description="what runs the graph")
    engine: Annotated[str, OneOf(ENGINES)] = Field(default="threads", description="how instances are run")
    ray_address: RayAddress | None = Field(
        default=None,
        exclude=True,
        description="engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here",
    )
    equal_lengths: Annotated[bool, Cli(gives=True)] = Field(
        default=False, description="only questions of one length share a batch, and attention needs no mask"
    )
    latency_bound: Annotated[float, Cli(metavar="MS")] = Field(
        default=130.0,
        gt=0,
        description="server: milliseconds within which 99 % are answered (MLPerf's for BERT is 130)",
    )
    seed: int = Field(default=0, ge=0, description="server: seed of the arrivals")


class TuneSettings(Section):
    """artifact → the runtime profile that is fastest on this machine."""

    data: Dataset = Field(default="squad", description="dataset name or file the questions are taken from")
    budget: Seconds = Field(default=120.0, gt=0, description="time for all trials")
    cores: int | None = Field(default=None, ge=1, description="cores that may be used; default: all cores")
    latency_bound: Annotated[float, Cli(metavar="MS")] | None = Field(
        default=None,
        gt=0,
        description="look for the highest rate of random arrivals of which 99 % are answered in so many ms",
    )
    runtimes: tuple[Annotated[str, OneOf(RUNTIMES)], ...] | None = Field(
        default=None, description="only these runtimes; default: those that are installed", strict=False
    )
    engines: tuple[Annotated[str, OneOf(ENGINES, only=("threads", "processes"))], ...] = Field(
        default=("threads", "processes"), description="only these engines", strict=False
    )
    max_spread: float = Field(
        default=0.1,
        gt=0,
        description="a result is sure when the 90 % interval of its median ratio is no wider, relative to it",
    )
    seed: int = Field(default=0, ge=0, description="seed of the arrivals")


class PublishSettings(Section):
    """gated artifact → registry."""

    registry: str = Field(default="registry", description="folder of the registry, or oci://host[:port]/path")
    insecure: Annotated[bool, Cli(gives=True), SAME_RELEASE] = Field(
        default=False, description="allow plain HTTP to an OCI registry on another machine"
    )
    policy: Annotated[str | None, Cli(metavar="FILE")] = Field(
        default=None, description="file with the policy that an OCI registry is held to; a folder has its own"
    )
    name: str = Field(
        pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$", description="name in the registry, such as minilm-squad"
    )
    version: str = Field(
        pattern=r"^[0-9A-Za-z]+(?:[._+-][0-9A-Za-z]+)*$",
        description="version, such as 1.0.0; never overwritten",
    )


class Recipe(Section):
    """The whole instruction: checkpoint → published INT8 artifact."""

    name: Annotated[
        str, Cli(option=False), NotInKey(because="it names the work folder, and nothing in it")
    ] = Field(pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$", description="names the work folder")
    checkpoint: Annotated[str, Place("checkpoint"), Cli(option=False)] = Field(
        min_length=1, description="checkpoint folder (relative to the recipe) or Hugging Face id"
    )
    task: Annotated[str, OneOf(TASKS), Cli(words=(("question-answering", "squad"),))] = Field(
        default="squad", description="what the model does"
    )
    export: ExportSettings = ExportSettings()
    fuse: FuseSettings = FuseSettings()
    quantize: QuantizeSettings
    evaluate: EvaluateSettings = EvaluateSettings()
    gate: GateSettings = GateSettings()
    bench: BenchSettings | None = None
    publish: PublishSettings | None = None
