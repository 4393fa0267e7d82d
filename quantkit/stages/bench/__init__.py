"""bench: artifacts side by side, in interleaved rounds A B A B … over the same questions.

    offline         batches by token budget: how much a full machine answers
    single-stream   one window at a time: how long one query takes
    server          random arrivals, what waits is batched: the highest rate that is answered in time

Nothing is padded beyond its batch, and tokenizing and reading answers are not measured. Times are of this machine,
this minute; only the ratios are worth keeping, and those not when the rounds do not agree.
"""

from quantkit.stages.bench.ingredients import ingredients
from quantkit.stages.bench.measure import bench

__all__ = ["bench", "ingredients"]
