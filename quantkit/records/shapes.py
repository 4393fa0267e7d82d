"""ShapeSearch: what `quantkit search` measured, tried and chose."""

from typing import Any, Literal

from pydantic import Field

from quantkit.records.record import Record, Report

UNIFORM, SHALLOW, MAGNITUDE = "uniform", "without the last layers", "uniform by magnitude"
"""Where candidates come from that a search must beat; see `quantkit.shapes.baselines`."""
BASELINES = (UNIFORM, SHALLOW, MAGNITUDE)
UNHEALED = (SHALLOW, MAGNITUDE)
"""Those whose weights stay as they are; nothing predicts their damage."""


class ShapeOption(Record):
    """One block with so many units, as INT8 or in float."""

    units: int = Field(description="heads or neurons; 0: the block is missing")
    scheme: Literal["int8", "float"] = Field(
        default="int8", description="how its layers are computed; float only of a search with float_blocks"
    )
    error: float = Field(description="expected squared error of the block's output over its variance")
    damage: float = Field(
        description="nats that the INT8 teacher's answers move when this block alone is so; below 0 where float "
        "brings them nearer to the FP32 teacher's"
    )
    cost_us: float = Field(description="microseconds per 1,000 tokens on one thread, measured here")


class ShapeBlock(Record):
    """One block of the teacher, and all its options."""

    slot: str = Field(description="such as layer.3.attention")
    units: int
    options: tuple[ShapeOption, ...]


class ShapeCandidate(Record):
    """One architecture, built as INT8 but for its float blocks, and judged on the selection before any training."""

    number: int
    origin: str = Field(description="where it comes from, such as 'solution 1 of round 2', 'uniform'")
    heads: tuple[int, ...] = Field(description="of each layer")
    feed_forward: tuple[int, ...] = Field(description="width of each layer's network")
    float_blocks: tuple[str, ...] = Field(
        default=(),
        description="slots of the blocks that stay float, such as layer.3.attention; others are INT8",
    )
    parameters: int
    size_bytes: int = Field(description="of the INT8 model, with the blocks that stay float")
    l3_bytes: int = Field(description="weights and the activations of a batch")
    predicted_damage: float
    divergence: float = Field(description="nats, of its INT8 answers from the teacher's FP32 answers")
    score: float = Field(description="mean score in percent on the selection")
    ratio: float = Field(description="score / the FP32 teacher's")
    expected_ratio: float
    expected_ratio_low: float
    predicted_cost_us: float
    cost_us: float = Field(description="measured whole, per 1,000 tokens")
    throughput: float = Field(description="over the INT8 teacher, measured whole in the same run")
    finalist: bool = Field(
        default=False,
        description="timed once more, in turns with the INT8 teacher and what else the result was between: cost and "
        "throughput are then by the median of these rounds",
    )
    throughput_spread: tuple[float, float] | None = Field(
        default=None, description="of a finalist: least and most of the rounds"
    )
    meets: bool = Field(description="whether it keeps every limit, as measured")
    front: bool = Field(description="no other that was measured is as fast and nearer to the teacher")
    folder: str = Field(default="", description="of its checkpoint, where one was written")


class Sanity(Record):
    """What must hold of every search."""

    reverse_divergence: float = Field(
        description="of the chosen widths with the units in reverse order, not healed"
    )
    order_divergence: float = Field(description="of the same with the units in order, not healed")
    sliced_difference: float = Field(
        description="largest difference of a logit, sliced graph to exported checkpoint"
    )
    full_difference: float = Field(description="largest difference of a logit, full widths to the teacher")


class TrialTimes(Record):
    """One part of the search, as its trials took; parts follow each other."""

    part: str = Field(description="such as 'damage', 'candidates 1'")
    seconds: tuple[float, ...] = Field(
        description="of each trial, whenever it was measured; those of a part depend on none of each other"
    )


class OnWorkers(Record):
    """The same search on so many machines like this one, by simulation."""

    workers: int
    seconds: float
    parts: dict[str, float] = Field(description="part → seconds")


class ShapeSearch(Report):
    """The whole search. `met` is False when no candidate keeps every limit; the result is then the nearest."""

    format: str = Field(default="quantkit/shapes/1", alias="schema")
    teacher: str = Field(description="digest of the checkpoint")
    task: str
    family: str
    limits: dict[str, float] = Field(description="as asked")
    met: bool
    chosen: int = Field(description="number of the candidate that is the result")
    tokens: int = Field(description="of the rows that were timed")
    rows: int = Field(description="that ran at once")
    beside_us: float = Field(description="cost of what is in no block")
    price_error: float = Field(description="median over candidates of |predicted / measured cost - 1|")
    rank_correlation: float = Field(
        description="Spearman's, of predicted damage and measured divergence of the candidates"
    )
    baseline_score: float = Field(description="of the FP32 teacher on the selection")
    teacher_divergence: float = Field(description="of the INT8 teacher")
    teacher_score: float = Field(description="of the INT8 teacher on the selection")
    data_digest: str
    data_questions: int
    damage_questions: int
    selection_digest: str
    selection_questions: int
    blocks: tuple[ShapeBlock, ...]
    candidates: tuple[ShapeCandidate, ...]
    sanity: Sanity | None = None
    seconds: dict[str, float] = Field(description="part of the search → seconds")
    trials: tuple[TrialTimes, ...] = Field(default=(), description="what every trial took, part by part")
    on_workers: tuple[OnWorkers, ...] = Field(default=(), description="the same search on more machines")
    tools: dict[str, str] = {}
    cpu: dict[str, Any] = {}
