"""The settings of `quantkit search`: what a smaller model must keep, and what it is searched on."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from quantkit.recipe.fields import ALONE, Cli, Place
from quantkit.recipe.kinds import Dataset, RayAddress, Seconds
from quantkit.recipe.lengths import LengthSettings
from quantkit.recipe.marks import NotInKey
from quantkit.tables import ENGINES, OneOf

ONLY_REFUSES = NotInKey(because="the gate's questions are refused, and change nothing that is made")
ALL_INT8 = NotInKey(
    because="without it all is as it was before there was a choice", unless=("float_blocks", True)
)
SAME_SEARCH = NotInKey(because="where models answer changes no answer")
Questions = Annotated[str, Place("calibration set"), Cli(metavar="SET|FILE")]


class SearchSettings(LengthSettings):
    """checkpoint → smaller checkpoints."""

    data: Questions | None = Field(
        default=None,
        description="questions that moments and damage come from, and the selection unless it has its own: a shipped "
        "set, or a file in the task's format; never the gate's",
    )
    min_throughput: Annotated[str, Cli(metavar="TIMES")] | None = Field(
        default=None,
        pattern=r"^(0*[1-9]\d*(\.\d+)?|0+\.0*[1-9]\d*)x?$",  # above 0
        examples=["1.5x"],
        description="least throughput as INT8, such as 1.5x that of the INT8 teacher, measured here",
    )
    max_latency: Annotated[float, Cli(metavar="MS")] | None = Field(
        default=None, gt=0, description="longest time of one row as INT8 on one thread, measured here"
    )
    max_parameters: int | None = Field(default=None, ge=1, description="most parameters, embeddings included")
    max_size_mb: float | None = Field(default=None, gt=0, description="largest INT8 model, 1 MB = 10^6 bytes")
    max_l3_mb: float | None = Field(
        default=None,
        gt=0,
        description="most that an instance reads over and over as INT8: weights and the activations of a batch",
    )
    min_f1_ratio: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="least ratio to the teacher's expected score on the selection, before any training",
    )
    data_questions: int = Field(default=250, ge=1, description="questions that moments come from")
    damage_questions: int = Field(default=100, ge=1, description="further ones that damage is measured on")
    select: Questions | None = Field(
        default=None,
        description="labelled questions that candidates are judged on; default: more of the data",
    )
    select_questions: int = Field(default=400, ge=2, description="questions taken from the selection")
    gate_data: Annotated[Dataset | None, ONLY_REFUSES] = Field(
        default=None, description="the gate's questions, which no other may be; default: the task's"
    )
    tokens: int | None = Field(
        default=None, ge=1, description="tokens of the rows that are timed; default: the data's mean"
    )
    step: int = Field(default=128, ge=16, description="widths of feed-forward networks are multiples of it")
    float_blocks: Annotated[bool, ALL_INT8] = Field(
        default=False,
        description="blocks may stay float too, measured as such: scheme and width are chosen together",
    )
    min_int8_coverage: Annotated[float, ALL_INT8] = Field(
        default=0.9,
        ge=0,
        le=1,
        description="with float blocks: least share of the blocks' linear MACs that are INT8, as the gate will ask for",
    )
    candidates: int = Field(default=6, ge=1, description="candidates that are built and judged at most")
    budget: Seconds = Field(default=1800.0, gt=0, description="time for the whole search")
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="one-sided confidence of bounds on the selection"
    )
    seed: int = Field(default=0, ge=0, description="seed of the samples")
    engine: Annotated[str, OneOf(ENGINES, only=("threads", "ray")), SAME_SEARCH] = Field(
        default="threads",
        exclude=True,
        description="where calibration and questions run and candidates are made; what is found is the same",
    )
    ray_address: Annotated[RayAddress | None, SAME_SEARCH] = Field(
        default=None,
        exclude=True,
        description="engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here",
    )

    @field_validator("min_int8_coverage")
    @classmethod
    def _has_float_blocks(cls, share: float, info: ValidationInfo) -> float:
        """Refuse a share that nothing is held to; the usual one says nothing, as where every value is spelt out."""
        if share != cls.model_fields["min_int8_coverage"].default and not info.data.get("float_blocks", True):
            raise PydanticCustomError(
                ALONE, "changes nothing where no block may stay float; add float_blocks, or leave it out"
            )
        return share

    @property
    def throughput(self) -> float | None:
        """The least throughput over the INT8 teacher's."""
        return None if self.min_throughput is None else float(self.min_throughput.removesuffix("x"))
