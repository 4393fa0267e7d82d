"""Lineage: how far the weights of two artifacts are those of one checkpoint, layer by layer."""

from pydantic import Field

from quantkit.records.record import Record, Report


class WeightAgreement(Record):
    """One weight of the baseline, and how many of its larger entries have their sign in the candidate."""

    name: str
    agreement: float = Field(ge=0, le=1, description="share of the larger half of entries with the same sign")
    entries: int = Field(ge=0, description="how many entries were compared")


class Lineage(Report):
    """What the bytes of two models say about their kinship; `quantkit.graph.lineage` says how it is found."""

    format: str = Field(default="quantkit/lineage/1", alias="schema")
    artifact: str = Field(description="digest of the candidate")
    baseline: str = Field(description="digest of the baseline")
    layers: tuple[WeightAgreement, ...] = Field(description="every linear layer of the baseline")
    tables: tuple[WeightAgreement, ...] = Field(description="every embedding table of the baseline")
    tools: dict[str, str] = {}

    @property
    def worst(self) -> WeightAgreement | None:
        """The layer or table that agrees least; None when the baseline has no float layer at all."""
        return min((*self.layers, *self.tables), key=lambda one: one.agreement) if self.layers else None
