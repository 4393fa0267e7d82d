"""The query sample library: the windows of all questions, tokenized once and read by every run.

They go from process to process as plain arrays, so that a run needs neither tokenizer nor dataset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quantkit.runtime.run import Row

_ARRAYS = ("input_ids", "token_type_ids", "ends")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """One window, int64 [tokens] each."""

    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleLibrary:
    """All samples; a sample's index here is its index in LoadGen.

    Attributes:
        samples: the windows, of true length.
    """

    samples: tuple[Sample, ...]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """Take the token ids of windows."""
        return cls(
            samples=tuple(Sample(input_ids=row.input_ids, token_type_ids=row.token_type_ids) for row in rows)
        )

    def save(self, path: Path) -> None:
        """Write all samples into one .npz file."""
        np.savez(
            path,
            input_ids=np.concatenate([sample.input_ids for sample in self.samples]),
            token_type_ids=np.concatenate([sample.token_type_ids for sample in self.samples]),
            ends=np.cumsum([len(sample.input_ids) for sample in self.samples]),
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as content:
            input_ids, token_type_ids, ends = (content[name] for name in _ARRAYS)
        cuts = ends[:-1]
        pairs = zip(np.split(input_ids, cuts), np.split(token_type_ids, cuts), strict=True)
        return cls(samples=tuple(Sample(input_ids=ids, token_type_ids=types) for ids, types in pairs))

    def __len__(self) -> int:
        return len(self.samples)
