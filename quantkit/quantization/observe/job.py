"""A calibration job: which rows are observed, where, and how ranges are taken from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from quantkit.errors import DatasetError
from quantkit.quantization.observe.range import PERCENTILE
from quantkit.runtime.batching import Batch
from quantkit.runtime.run import Row
from quantkit.runtime.where import HERE, Where


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationJob:
    """What to observe, on what, where, and how ranges are taken from it.

    Attributes:
        rows: the calibration rows.
        pad_id: the token that stands for none.
        method: the estimator, with its `percentile` if it has one.
        model_name: what messages call the model.
        where: threads of this process, or a cluster: what is seen is the same.
    """

    rows: Sequence[Row]
    pad_id: int
    method: str = "minmax"
    percentile: float = PERCENTILE
    model_name: str | None = None
    where: Where = HERE

    def tokens(self) -> int:
        """Return the number of tokens that are observed."""
        return sum(len(row.input_ids) for row in self.rows)

    def by_method(self, method: str, percentile: float) -> "CalibrationJob":
        """Return the same job for another estimator."""
        return replace(self, method=method, percentile=percentile)

    def batches(self) -> list[Batch]:
        """Return every row that is not all padding as a batch of its own, longest first.

        Raises:
            DatasetError: there is none.
        """
        found = [
            Batch(indices=(index,), length=len(row.input_ids))
            for index, row in enumerate(self.rows)
            if len(row.input_ids) and (row.input_ids != self.pad_id).any()
        ]
        if not found:
            raise DatasetError("the calibration set holds nothing but padding; give questions with text")
        return sorted(found, key=lambda batch: -batch.length)
