"""What calibration makes of one row on the node of a cluster that ran it, so that its activations need not travel.

A row of 170 tokens has megabytes of activations in every tensor, and of each tensor only a histogram, or the sums and
extremes of its channels, are kept. Both are the same to the last bit whether they are made here or there: histograms
are counts, and sums are added row by row in a fixed order wherever the sum of a row was made. Second moments are not
made there: a row's are larger than the row, and they come from a matrix product whose order of additions belongs to
the BLAS that runs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.quantization.observe.histogram import Histogram
from quantkit.quantization.observe.statistics import Detail, summarize
from quantkit.runtime.batching import Batch
from quantkit.runtime.run import Job
from quantkit.runtime.session import Arrays

_PLACE = "calibration_row"  # beside the graph's inputs, which are all that a session takes


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberedJob(Job):
    """A job whose batches say their place in the order of rows."""

    places: Mapping[int, int]

    def feeds(self, batch: Batch) -> dict[str, NDArray[np.int64]]:
        """Return the graph inputs of a batch, and its place."""
        # Not super(): a class with slots is made anew, and it would not know it.
        return {**Job.feeds(self, batch), _PLACE: np.array([self.places[batch.indices[0]]], np.int64)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Summaries:
    """Every tensor's `summarize`, float64 [1, 5 + sampled tokens, channels]; the arguments are its own."""

    detail: Detail
    per_row: int

    def __call__(self, feeds: Mapping[str, NDArray[Any]], outputs: Arrays) -> Arrays:
        """Return them for the activations of one row."""
        place = int(feeds[_PLACE][0])
        return tuple(
            summarize(
                values.reshape(-1, values.shape[-1]), detail=self.detail, per_row=self.per_row, place=place
            )[None]
            for values in outputs
        )


def histograms(feeds: Mapping[str, NDArray[Any]], outputs: Arrays) -> Arrays:
    """Return every tensor's `Histogram.as_array`, float64 [1, 5 + bins], for the activations of one row.

    NaN stands for a tensor that cannot be counted.
    """
    del feeds
    found = []
    for values in outputs:
        if not np.isfinite(values).all():
            found.append(np.full((1, 1), np.nan))
            continue
        histogram = Histogram()
        histogram.add(values)
        found.append(histogram.as_array()[None])
    return tuple(found)
