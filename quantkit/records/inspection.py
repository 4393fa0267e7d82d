"""Inspection: what is in an artifact and which kernels ONNX Runtime really runs."""

from pydantic import Field

from quantkit.records.record import Record, Report


class Layer(Record):
    """One linear layer: weight shape [inputs, outputs], the kernel that ran it, its multiply-accumulates."""

    name: str
    shape: tuple[int, int]
    kernel: str
    integer: bool
    macs: int = Field(ge=0)


class EncoderLayer(Record):
    """One layer of the encoder by config.json: heads and inner width, 0 where attention or feed-forward is missing."""

    heads: int = Field(ge=0)
    head_size: int = Field(ge=1)
    feed_forward: int = Field(ge=0)


class Inspection(Report):
    """Sizes, parameters, fusions, executed kernels, INT8 coverage (share of linear MACs in integer kernels)."""

    format: str = Field(default="quantkit/inspection/1", alias="schema")
    artifact: str
    architecture: str
    task: str
    precision: str
    parameters: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    fused: dict[str, int]
    expected_fusions: dict[str, int] = {}
    kernels: dict[str, int] = Field(description="executed operator → how many nodes of it one run executes")
    int8_coverage: float = Field(ge=0, le=1)
    int8_embedding_share: float = Field(
        default=0.0, ge=0, le=1, description="share of embedding-table parameters stored in INT8"
    )
    saturating: tuple[str, ...] = Field(
        default=(),
        description="layers whose sums can saturate on x86 without VNNI; none: integer products are exact on every CPU",
    )
    encoder: tuple[EncoderLayer, ...] = Field(
        default=(), description="the encoder's shape, layer by layer; empty where config.json does not say it"
    )
    layers: tuple[Layer, ...] = ()
    tools: dict[str, str] = {}
