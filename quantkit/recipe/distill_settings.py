"""The settings of `quantkit distill`, less what it works on: student and teacher."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt

from quantkit.recipe.fields import Cli, Section
from quantkit.recipe.kinds import CalibrationData, Dataset, Seconds
from quantkit.recipe.marks import NotInKey
from quantkit.recipe.search_settings import ONLY_REFUSES

SAME_WEIGHTS = NotInKey(because="how often the training is saved changes no weight")


class DistillSettings(Section):
    """student and teacher checkpoints → student checkpoint."""

    data: Annotated[tuple[Dataset, ...], Cli(names=("--data",), metavar="NAME|FILE")] = Field(
        min_length=1,
        strict=False,
        description="questions to learn on, in the task's format; labels count only with label_weight",
    )
    select: CalibrationData | None = Field(
        default=None,
        description="labelled questions that the best weights are chosen by; default: some of the data, left out of "
        "the training",
    )
    select_questions: int = Field(default=400, ge=2, description="questions taken from the selection")
    gate_data: Annotated[Dataset | None, ONLY_REFUSES] = Field(
        default=None,
        description="the gate's questions, which nothing here may hold; default: the task's",
    )
    layers: Annotated[tuple[NonNegativeInt, ...] | None, Cli(names=("--layer",), metavar="N")] = Field(
        default=None,
        strict=False,
        description="the teacher's layer, from 0, that the student's next one stands for; only for a student of fewer "
        "layers",
    )
    budget: Seconds = Field(
        default=3600.0,
        gt=0,
        description="time for all; the steps that fit are counted by the speed of the first ones",
    )
    steps: int | None = Field(
        default=None, ge=1, description="optimizer steps; default: as many as the budget has time for"
    )
    block_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="share of the steps in which each changed block learns alone, from the teacher's inputs",
    )
    token_budget: int = Field(default=2048, ge=1, description="tokens per batch, padding included")
    accumulate: int = Field(default=1, ge=1, description="batches per optimizer step")
    max_length: int | None = Field(
        default=None,
        ge=8,
        description="most tokens in a row; default: as export chooses, 384 or what the model and its tokenizer take",
    )
    learning_rate: float = Field(
        default=1e-4, gt=0, le=1, description="the highest; it rises through warm_up and falls to zero"
    )
    block_learning_rate: float = Field(
        default=1e-3, gt=0, le=1, description="the same while each block learns alone"
    )
    warm_up: float = Field(
        default=0.05, ge=0, lt=1, description="share of the steps that the learning rate rises"
    )
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="of matrices, by AdamW")
    temperature: float = Field(
        default=2.0, gt=0, le=100, description="by which logits are divided before they are compared"
    )
    logits_weight: float = Field(default=1.0, ge=0, description="weight of the answers' divergence")
    hidden_weight: float = Field(
        default=10.0, ge=0, description="weight of the hidden states' error, relative to their size"
    )
    relation_weight: float = Field(
        default=0.0,
        ge=0,
        description="weight of the relations between queries, keys and values of the last layer",
    )
    relation_heads: int = Field(
        default=12,
        ge=1,
        description="most heads that relations are compared in; fewer where widths ask for it",
    )
    label_weight: float = Field(default=0.0, ge=0, description="weight of the data's own labels")
    qat_share: Annotated[float, Cli(names=("--qat",), metavar="SHARE")] = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the steps, the last ones, in which linear layers are rounded as in INT8",
    )
    train_embeddings: Annotated[bool, Cli(gives=True)] = Field(
        default=False, description="embeddings learn too; they are frozen otherwise"
    )
    evaluations: int = Field(
        default=10, ge=1, description="how often the selection is answered, evenly over the steps"
    )
    patience: int = Field(
        default=4,
        ge=1,
        description="evaluations without a better one after which the training ends, unless the last weights are kept",
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        description="weights that are kept: the best on the selection, or the last, where the teacher was trained on "
        "the selection and whoever answers as it does looks better than it is",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of products; auto: bfloat16 where the device multiplies it faster"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: the first GPU, where torch finds one"
    )
    threads: int | None = Field(default=None, ge=1, description="threads of the CPU; default: all cores")
    save_every: Annotated[int, SAME_WEIGHTS] = Field(
        default=100, ge=1, description="steps after which the training is saved, to go on there after a stop"
    )
    seed: int = Field(default=0, ge=0, description="of the order of the rows, and of the selection")
