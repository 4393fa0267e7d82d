"""Comparison: what a set of artifacts carries of itself, side by side. Nothing in it was measured for it."""

from typing import Any, Literal

from pydantic import Field

from quantkit.records.gate import GateReport
from quantkit.records.inspection import EncoderLayer
from quantkit.records.record import Record, Report
from quantkit.records.sensitivity import GroupSensitivity

Against = Literal["its FP32", "the first INT8", "the first FP32"]
Pairing = Literal["its parent", "the gate's baseline", "the same checkpoint", "the order"]


class Gain(Record):
    """One artifact against another: differences and ratios, None where one of the two numbers is missing."""

    against: Against
    artifact: str = Field(description="digest of the other artifact")
    name: str
    score_points: float | None = Field(description="score - the other's score, in points")
    score_ratio: float | None = Field(description="score / the other's score")
    parameters: float | None = Field(description="parameters / the other's")
    size: float = Field(description="bytes / the other's")
    throughput: float | None = Field(
        description="throughput / the other's, both of one interleaved measurement"
    )
    throughput_bounds: tuple[float, float] | None = Field(
        default=None, description="of that ratio; known against the first artifact that was measured"
    )


class Missing(Record):
    """A number an artifact does not carry, and what makes it. `artifact` is empty when all lack it."""

    artifact: str
    name: str
    number: str = Field(description="such as 'F1' or 'throughput'")
    command: str


class Entry(Record):
    """One artifact and its numbers; None is a number it does not carry."""

    artifact: str
    name: str
    path: str = Field(description="as it was given")
    precision: Literal["fp32", "int8"]
    architecture: str
    checkpoint: str = Field(default="", description="name of the checkpoint it was exported from")
    reference: str | None = Field(default=None, description="INT8: digest of its FP32 artifact in this set")
    paired_by: Pairing | None = Field(default=None, description="how the reference was found")
    score: float | None = None
    exact_match: float | None = None
    parameters: int | None = None
    size_bytes: int
    int8_coverage: float | None = None
    throughput: float | None = Field(default=None, description="windows per second, median over rounds")
    throughput_ratio: float | None = Field(
        default=None, description="median over rounds of throughput / that of the first artifact measured"
    )
    throughput_bounds: tuple[float, float] | None = Field(
        default=None, description="of that ratio: its interval, or the smallest and largest of a round"
    )
    throughput_rounds: tuple[float, ...] = Field(
        default=(), description="windows per second in each round; empty when it was too noisy"
    )
    profile: dict[str, Any] = Field(
        default={}, description="how it ran there: runtime, engine, instances, threads …"
    )
    encoder: tuple[EncoderLayer, ...] = Field(default=(), description="shape, layer by layer")
    gains: tuple[Gain, ...] = ()
    gate: GateReport | None = None
    teacher: str = Field(
        default="", description="name of the artifact in this set whose checkpoint it says it was made from"
    )
    search: str = Field(default="", description="what --mode auto found, in words")
    tuned: dict[str, Any] | None = Field(default=None, description="the runtime profile that it carries")


class ScoreSource(Record):
    """The one dataset, with the one set of settings, that all scores of the comparison come from."""

    dataset: str
    dataset_name: str
    questions: int
    truncated: str = Field(
        default="", description="how many were too long to be read whole, as `41 of 1,000`"
    )
    settings: dict[str, Any] = {}


class ThroughputSource(Record):
    """The one interleaved measurement that all throughputs come from."""

    scenario: str
    dataset_name: str
    windows: int
    repeats: int
    threads: int
    latency_bound_ms: float | None = Field(default=None, description="of the server scenario")
    too_noisy: bool = Field(default=False, description="its ratios scatter too widely to be reported")
    artifacts: tuple[str, ...] = Field(description="digests of those it measured, the first is its reference")


class LayerDamage(Record):
    """A sensitivity analysis one of the artifacts carries."""

    name: str = Field(description="of the artifact that carries it")
    artifact: str = Field(description="digest of the FP32 artifact it is about")
    choice: str
    questions: int
    groups: tuple[GroupSensitivity, ...]


class Provenance(Record):
    """Where a number was made: report file, command, versions, processor."""

    name: str
    number: str
    file: str
    command: str
    tools: dict[str, str] = {}
    cpu: dict[str, Any] = {}


class Comparison(Report):
    """Everything `quantkit report` shows. Entries are in the order they were given."""

    format: str = Field(default="quantkit/report/2", alias="schema")
    task: str
    entries: tuple[Entry, ...]
    scores: ScoreSource | None
    throughput: ThroughputSource | None
    missing: tuple[Missing, ...]
    sensitivities: tuple[LayerDamage, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    tools: dict[str, str] = {}
