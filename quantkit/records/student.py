"""Student: which units of a teacher a smaller checkpoint has, kept in its folder."""

from pydantic import Field

from quantkit.records.record import Record, Report


class LayerUnits(Record):
    """What is left of one layer of the teacher."""

    layer: int
    heads: tuple[int, ...] = Field(description="the teacher's heads, rising; none: the attention is missing")
    neurons: tuple[int, ...] = Field(
        description="the teacher's neurons, rising; none: the network is missing"
    )


class Student(Report):
    """Whose student a checkpoint is."""

    format: str = Field(default="quantkit/student/1", alias="schema")
    teacher: str = Field(description="digest of the teacher's checkpoint")
    layers: tuple[LayerUnits, ...]
