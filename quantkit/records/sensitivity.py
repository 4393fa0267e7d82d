"""Sensitivity: how much a task's answers suffer when one group of layers is quantized and the rest stays FP32."""

from pydantic import Field

from quantkit.records.record import Record, Report


class GroupSensitivity(Record):
    """One group of layers: those that read the same tensor.

    Attributes of note: `damage` is what matters to the task, `sqnr_db` only what the layer's own output lost.
    """

    group: str = Field(description="glob that names the layers, such as encoder.layer.0.attention.self.*")
    layers: tuple[str, ...]
    kind: str = Field(description="last part of the layers' names, the same for every encoder layer")
    macs: int = Field(description="multiply-accumulates per token")
    damage: float = Field(description="mean divergence of the answers' distributions from FP32's, nats")
    changed: float = Field(description="share of the questions with another answer than FP32's")
    sqnr_db: float = Field(description="10 log10(signal / quantization noise) at the group's output")
    measured_with: tuple[str, ...] = Field(
        default=(),
        description="groups measured together with it, when the budget was too small for each alone",
    )


class Sensitivity(Report):
    """Every group's damage under one scheme, on the same questions."""

    format: str = Field(default="quantkit/sensitivity/1", alias="schema")
    artifact: str = Field(description="digest of the FP32 artifact")
    scheme: str = Field(description="how the group was quantized, such as 'static gptq smooth 0.90'")
    calibration: str = Field(description="digest of the questions the ranges come from")
    questions: int = Field(description="questions the damage was measured on")
    groups: tuple[GroupSensitivity, ...] = Field(description="in graph order")
    seconds: float
    tools: dict[str, str] = {}
    cpu: dict[str, object] = {}
