"""Sensitivity: the damage of each group of layers: what its quantization alone does to the answers."""

from typing import Any, ClassVar

from pydantic import Field

from quantkit.records.record import Record, Report, renamed


class GroupSensitivity(Record):
    """One group of layers: those that read the same tensor.

    Attributes of note: `damage` is what matters to the task, `sqnr_db` only what the layer's own output lost.
    """

    group: str = Field(description="glob that names the layers, such as encoder.layer.0.attention.self.*")
    layers: tuple[str, ...]
    kind: str = Field(description="last part of the layers' names, the same for every encoder layer")
    macs: int = Field(description="multiply-accumulates per token")
    damage: float = Field(description="divergence from FP32 when this group alone is quantized, nats")
    changed: float = Field(description="share of the questions with another score than FP32's")
    sqnr_db: float = Field(description="10 log10(signal / quantization noise) at the group's output")
    measured_with: tuple[str, ...] = Field(
        default=(),
        description="groups measured together with it, when the budget was too small for each alone",
    )


def _from_1(content: Any) -> Any:
    return renamed(content, scheme="choice")


class Sensitivity(Report):
    """Every group's damage under one choice, on the same questions."""

    upgrades: ClassVar = {"quantkit/sensitivity/1": _from_1}
    format: str = Field(default="quantkit/sensitivity/2", alias="schema")
    artifact: str = Field(description="digest of the FP32 artifact")
    choice: str = Field(description="how each group was quantized, such as 'static smooth gptq'")
    calibration: str = Field(description="digest of the questions the ranges come from")
    questions: int = Field(description="questions the damage was measured on")
    groups: tuple[GroupSensitivity, ...] = Field(description="in graph order")
    seconds: float
    tools: dict[str, str] = {}
    cpu: dict[str, object] = {}
