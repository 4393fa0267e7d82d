"""The sections of a recipe. Each stage takes its own; the CLI builds the same records from options."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from quantkit.recipe.distill_settings import DistillSettings
from quantkit.recipe.fields import Cli, Place, Section, Was
from quantkit.recipe.kinds import CalibrationData, Code, Dataset, RayAddress, Seconds
from quantkit.recipe.lengths import LengthSettings
from quantkit.recipe.marks import NotInKey
from quantkit.recipe.quantize_settings import AutoSettings, KeepFloat, LayerScheme, QuantizeSettings
from quantkit.recipe.search_settings import SearchSettings
from quantkit.tables import ENGINES, RUNTIMES, SCENARIOS, TASKS, OneOf

__all__ = [
    "AutoSettings",
    "BenchSettings",
    "DistillSettings",
    "EvaluateSettings",
    "ExportSettings",
    "FuseSettings",
    "GateSettings",
    "KeepFloat",
    "LayerScheme",
    "PublishSettings",
    "QuantizeSettings",
    "Recipe",
    "SearchSettings",
    "SensitivitySettings",
    "TuneSettings",
]

SAME_ANSWERS = NotInKey(because="where and how often a model runs at once changes no answer")
SAME_RELEASE = NotInKey(because="how a registry is reached changes no byte of what is published")
Layout = Literal["plain", "hub"]


class ExportSettings(LengthSettings):
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
    pooling: Literal["auto", "mean", "cls"] = Field(
        default="auto",
        description="how tokens become one embedding (sentence-similarity); auto: what modules.json says",
    )


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


_EXACT_INT8 = (
    "where sums of int8 products saturate (x86 without VNNI), multiply int8 weights as uint8 ones: slower"
)


class EvaluateSettings(Section):
    """artifact → Evaluation."""

    data: Dataset = Field(default="squad", description="dataset name, or a file in the task's format")
    limit: int | None = Field(default=None, ge=1, description="first N questions only (never for a gate)")
    metric: Code | None = Field(
        default=None,
        description="Python function that scores answers in place of the task's metric; needs --allow-code",
    )
    token_budget: int = Field(default=1024, ge=1, description="tokens per batch, padding included")
    equal_lengths: Annotated[bool, Cli(gives=True)] = Field(
        default=False, description="only rows of one length share a batch, and attention runs without a mask"
    )
    exact_int8: Annotated[bool, Cli(gives=True)] = Field(default=False, description=_EXACT_INT8)
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


def _ratio(value: float) -> float:
    """Refuse what is no ratio.

    Raises:
        ValueError: it is more than 2, so it was meant in percent.
    """
    if value > 2:
        raise ValueError(f"is a ratio, such as 0.999; did you mean {round(value / 100, 9):g}?")
    return value


class GateSettings(Section):
    """two Evaluations → GateReport."""

    min_ratio: Annotated[float, AfterValidator(_ratio)] = Field(
        default=0.999, gt=0, description="least candidate F1 / reference F1, compared unrounded with >="
    )
    reference_f1: float | None = Field(
        default=None,
        ge=1,
        le=100,
        description="fixed reference in percent instead of the baseline's F1, such as MLPerf's 90.874",
    )
    student: Annotated[bool, Cli(gives=True)] = Field(
        default=False,
        description="the candidate is a smaller model made from the baseline's checkpoint, as its export says: layers "
        "need not agree, embeddings must",
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
    min_cosine: float = Field(
        default=0.99,
        ge=-1,
        le=1,
        description="least mean cosine to the baseline's embeddings (sentence-similarity)",
    )
    min_overlap: float = Field(
        default=0.9, ge=0, le=1, description="least share of the 10 nearest texts kept (sentence-similarity)"
    )
    resamples: int = Field(default=10_000, ge=100, description="bootstrap resamples")
    seed: int = Field(default=0, ge=0, description="bootstrap seed")

    def as_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON; `student` only where it is said, so that older reports stay the same."""
        return self.model_dump(mode="json", exclude=None if self.student else {"student"})


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
    exact_int8: Annotated[bool, Cli(gives=True)] = Field(default=False, description=_EXACT_INT8)
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
        pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$",
        examples=["minilm-squad"],
        description="name in the registry, such as minilm-squad",
    )
    version: str = Field(
        pattern=r"^[0-9A-Za-z]+(?:[._+-][0-9A-Za-z]+)*$",
        examples=["1.0.0"],
        description="version, such as 1.0.0; never overwritten",
    )
    layout: Layout = Field(
        default="plain",
        description="hub: with a model card and what else the Hugging Face Hub wants; a folder only",
    )


class Recipe(Section):
    """The whole instruction: checkpoint → published INT8 artifact."""

    name: Annotated[
        str, Cli(option=False), NotInKey(because="it names the work folder, and nothing in it")
    ] = Field(
        pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$",
        examples=["minilm-squad"],
        description="names the work folder",
    )
    checkpoint: Annotated[str, Place("checkpoint"), Cli(option=False)] = Field(
        min_length=1, description="checkpoint folder (relative to the recipe) or Hugging Face id"
    )
    task: Annotated[str, OneOf(TASKS), Cli(words=(("question-answering", "squad"),))] = Field(
        default="squad", description="what the model does"
    )
    student: Annotated[str, Place("checkpoint"), Cli(option=False)] | None = Field(
        default=None,
        min_length=1,
        description="a smaller checkpoint that was made from this one, in place of a search: a folder, or a Hugging "
        "Face id",
    )
    search: SearchSettings | None = None
    distill: DistillSettings | None = None
    export: ExportSettings = ExportSettings()
    fuse: FuseSettings = FuseSettings()
    quantize: QuantizeSettings
    evaluate: EvaluateSettings = EvaluateSettings()
    gate: GateSettings = GateSettings()
    bench: BenchSettings | None = None
    publish: PublishSettings | None = None

    @property
    def makes_smaller(self) -> bool:
        """Whether another checkpoint than `checkpoint` is quantized: one that was made from it."""
        return self.search is not None or self.student is not None

    @property
    def quantizes_both(self) -> bool:
        """Whether the original is quantized too, to compare with; not where each would be another long search."""
        return self.makes_smaller and self.quantize.mode != "auto"
