"""The sections of a recipe. Each stage takes its own; the CLI builds the same records from options."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class Section(BaseModel):
    """A frozen section of a recipe; unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def as_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON, for digests and stage records."""
        return self.model_dump(mode="json")


class ExportSettings(Section):
    """checkpoint → FP32 artifact."""

    opset: int = Field(default=17, ge=14, le=17, description="ONNX opset of the exported graph")
    atol: float = Field(
        default=1e-4, gt=0, description="largest absolute logit difference to PyTorch that is accepted"
    )
    external_data: Literal["auto", "yes", "no"] = Field(
        default="auto", description="weights in model.onnx.data: auto only when the model is above 2 GB"
    )
    allow_pickle: bool = Field(
        default=False, description="load pytorch_model.bin (unpickling can run code) if need be"
    )
    revision: str | None = Field(default=None, description="revision of a Hugging Face checkpoint")


class FuseSettings(Section):
    """FP32 artifact → fused artifact."""

    enabled: bool = Field(default=True, description="false: keep the graph as it was exported")
    embed_layer_norm: bool = Field(
        default=True, description="fuse EmbedLayerNormalization where the model allows it"
    )
    allow_partial: bool = Field(default=False, description="a missing fusion is a warning, not an error")


class KeepFloat(Section):
    """Layers that stay FP32, and why."""

    pattern: str = Field(min_length=1, description="glob over layer names, such as *.attention.self.query")
    because: str = Field(default="", description="the reason, with its number")


class LayerScheme(Section):
    """How the layers that a pattern names are computed; what is left out is as the section says."""

    pattern: str = Field(min_length=1, description="glob over layer names, such as *.output.dense")
    scheme: Literal["static", "dynamic", "blockwise"] | None = None
    smooth_quant: Literal["auto", "off"] | float | None = None
    calib_method: Literal["minmax", "percentile", "entropy", "mse"] | None = None
    symmetric: bool | None = None
    outlier_channels: PositiveInt | Literal["auto", "off"] | None = Field(
        default=None, description="inputs that are multiplied in float, for static with calib_method minmax"
    )
    split_channels: PositiveInt | Literal["auto", "off"] | None = Field(
        default=None, description="copies of channels that stick out, for static with smooth_quant"
    )
    rounding: Literal["nearest", "gptq"] | None = None
    bias_correction: bool | None = None
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
    select: str | None = Field(
        default=None,
        description="labelled questions that candidates are judged on; default: more of the calibration file",
    )
    select_samples: int = Field(default=800, ge=2, description="questions taken from it")
    gate_data: str | None = Field(
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
    budget: float = Field(default=900.0, gt=0, description="seconds for the whole search")
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="one-sided confidence that the expected score keeps the target",
    )


class QuantizeSettings(Section):
    """fused artifact → INT8 artifact."""

    mode: Literal["dynamic", "static", "auto"] = Field(
        default="static",
        description="activation ranges at run time, calibrated, or the fastest choice per layer that keeps the target",
    )
    calib: str | None = Field(
        default=None, description="squad, squad-train, a shipped set, or a SQuAD-format file"
    )
    calib_samples: int = Field(default=100, ge=0, description="questions taken from the calibration set")
    calib_method: Literal["minmax", "percentile", "entropy", "mse"] = Field(
        default="minmax", description="range estimator"
    )
    percentile: float = Field(default=99.99, gt=50, le=100, description="for calib_method percentile")
    per_channel: bool = Field(default=True, description="one weight scale per output channel")
    symmetric: bool = Field(default=False, description="activation ranges around zero (zero point 128)")
    reduce_range: Literal["auto", "yes", "no"] = Field(
        default="auto", description="7-bit weights: needed on x86 without VNNI; auto asks the target"
    )
    weight_type: Literal["auto", "int8", "uint8"] = Field(
        default="auto", description="uint8 (u8u8): full range without VNNI too; auto: int8"
    )
    target_isa: str = Field(
        default="native", description="instruction set the artifact is for; native: this CPU's"
    )
    smooth_quant: Literal["auto", "off"] | float = Field(
        default="auto",
        description="SmoothQuant alpha, 0 to 1; auto: factors of least expected output error, off for dynamic",
    )
    rounding: Literal["nearest", "gptq"] = Field(
        default="nearest", description="weights to the nearest level, or GPTQ on the calibration data"
    )
    bias_correction: bool = Field(
        default=False, description="move the mean output error on the calibration data into the bias"
    )
    channel_shift: bool = Field(
        default=False,
        description="channels are centred on zero before they are rounded, where biases take it back for nothing",
    )
    outlier_channels: Literal["auto", "off"] = Field(
        default="off",
        description="auto: eight channels are multiplied in float where they make a quarter or more of a layer's "
        "rounding noise; for static with calib_method minmax",
    )
    split_channels: Literal["auto", "off"] = Field(
        default="off",
        description="auto: sixteen copies of channels that stick out, where the layer before can make them; for static "
        "with smooth_quant",
    )
    attention: Literal["float", "qk"] = Field(
        default="float", description="qk: queries and keys to INT8 too, which OpenVINO multiplies as such"
    )
    layout: Literal["auto", "onnxruntime", "portable", "fused"] = Field(
        default="auto",
        description="operators the graph is written in: onnxruntime's fastest on a CPU, no new ones of its own, or as "
        "fused; auto: onnxruntime, but fused with attention qk, which is for OpenVINO",
    )
    schemes: tuple[LayerScheme, ...] = Field(
        default=(),
        description="layers that are computed otherwise; the first pattern that fits wins",
        strict=False,
    )
    keep_float: tuple[KeepFloat, ...] = Field(
        default=(), description="layers and tables that stay FP32", strict=False
    )
    engine: Literal["threads", "ray"] = Field(
        default="threads",
        exclude=True,
        description="where calibration runs, in this process or on Ray: what is made is the same",
    )
    ray_address: str | None = Field(
        default=None,
        exclude=True,
        description="engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here",
    )
    auto: AutoSettings = Field(default=AutoSettings(), description="for mode auto")
    seed: int = Field(default=0, ge=0, description="seed of the calibration sample")

    @property
    def chosen_layout(self) -> str:
        """The layout that is meant, `auto` resolved."""
        if self.layout != "auto":
            return self.layout
        return "fused" if self.attention == "qk" else "onnxruntime"


class SensitivitySettings(Section):
    """FP32 artifact → how much each group of layers suffers from INT8."""

    calib: str | None = Field(
        default=None, description="calibration questions; the damage is measured on them too"
    )
    calib_samples: int = Field(default=100, ge=1, description="questions the ranges come from")
    questions: int = Field(default=100, ge=1, description="questions the damage is measured on")
    budget: float = Field(
        default=600.0, gt=0, description="seconds; groups are measured together when it is short"
    )
    seed: int = Field(default=0, ge=0, description="seed of the sample")


class EvaluateSettings(Section):
    """artifact → Evaluation."""

    data: str = Field(default="squad", description="dataset name or file")
    limit: int | None = Field(default=None, ge=1, description="first N questions only (never for a gate)")
    token_budget: int = Field(default=1024, ge=1, description="tokens per batch, padding included")
    equal_lengths: bool = Field(
        default=False, description="only rows of one length share a batch, and attention runs without a mask"
    )
    threads: int | None = Field(
        default=None, ge=1, description="one-thread instances; default: the artifact's profile, or all cores"
    )
    engine: Literal["threads", "processes", "ray"] | None = Field(
        default=None, description="what runs the instances; default: the artifact's profile, or threads"
    )
    ray_address: str | None = Field(
        default=None,
        exclude=True,
        description="engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here",
    )


class GateSettings(Section):
    """two Evaluations → GateReport."""

    min_ratio: float = Field(
        default=0.999, gt=0, le=2, description="candidate F1 / reference F1, unrounded, >="
    )
    reference_f1: float | None = Field(
        default=None, ge=1, le=100, description="fixed reference in percent, such as MLPerf's 90.874"
    )
    policy: Literal["mlperf", "statistical"] = "mlperf"
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="one-sided confidence of the statistical policy"
    )
    min_int8_coverage: float = Field(
        default=0.9, ge=0, le=1, description="share of linear MACs in integer kernels"
    )
    max_size_mb: float | None = Field(default=None, gt=0, description="model size limit, 1 MB = 10^6 bytes")
    resamples: int = Field(default=10_000, ge=100, description="bootstrap resamples")
    seed: int = Field(default=0, ge=0, description="bootstrap seed")


class BenchSettings(Section):
    """artifacts → throughput, interleaved."""

    data: str = Field(default="squad", description="dataset name or file the questions are taken from")
    scenario: Literal["offline", "single-stream", "server"] = Field(
        default="offline",
        description="throughput in batches, one question at a time, or the rate of random arrivals that is held",
    )
    questions: int = Field(
        default=200, ge=1, description="questions per measured pass, or per trial of a rate"
    )
    repeats: int = Field(default=5, ge=2, description="fewest interleaved rounds")
    max_repeats: int = Field(
        default=20, ge=2, description="so many rounds while the result is not sure enough"
    )
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
    runtime: Literal["onnxruntime", "openvino"] = "onnxruntime"
    engine: Literal["threads", "processes", "ray"] = Field(
        default="threads", description="instances as threads of one process, as processes, or on Ray"
    )
    ray_address: str | None = Field(
        default=None,
        exclude=True,
        description="engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here",
    )
    equal_lengths: bool = Field(default=False, description="only questions of one length share a batch")
    latency_bound: float = Field(
        default=130.0,
        gt=0,
        description="server: milliseconds within which 99 % are answered (MLPerf's for BERT is 130)",
    )
    seed: int = Field(default=0, ge=0, description="server: seed of the arrivals")


class TuneSettings(Section):
    """artifact → the runtime profile that is fastest on this machine."""

    data: str = Field(default="squad", description="dataset name or file the questions are taken from")
    budget: float = Field(default=120.0, gt=0, description="seconds for the whole search")
    cores: int | None = Field(default=None, ge=1, description="cores that may be used; default: all cores")
    latency_bound: float | None = Field(
        default=None,
        gt=0,
        description="look for the highest rate of random arrivals of which 99 % are answered in so many ms",
    )
    runtimes: tuple[Literal["onnxruntime", "openvino"], ...] | None = Field(
        default=None, description="runtimes to try; default: those that are installed", strict=False
    )
    engines: tuple[Literal["threads", "processes"], ...] = Field(
        default=("threads", "processes"), description="engines to try", strict=False
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
    insecure: bool = Field(
        default=False, description="allow plain HTTP to an OCI registry on another machine"
    )
    name: str = Field(pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$", description="name in the registry")
    version: str = Field(
        pattern=r"^[0-9A-Za-z]+(?:[._+-][0-9A-Za-z]+)*$", description="version; never overwritten"
    )


class Recipe(Section):
    """The whole instruction: checkpoint → published INT8 artifact."""

    name: str = Field(pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$", description="names the work folder")
    checkpoint: str = Field(
        min_length=1, description="checkpoint folder (relative to the recipe) or Hugging Face id"
    )
    task: Literal["squad", "text-classification"] = "squad"
    export: ExportSettings = ExportSettings()
    fuse: FuseSettings = FuseSettings()
    quantize: QuantizeSettings
    evaluate: EvaluateSettings = EvaluateSettings()
    gate: GateSettings = GateSettings()
    bench: BenchSettings | None = None
    publish: PublishSettings | None = None
