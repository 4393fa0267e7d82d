"""Rows of random tokens, and jobs of them, for tests of what runs a model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantkit.runtime.batching import token_budget_batches
from quantkit.runtime.run import Job


@dataclass(frozen=True)
class Row:
    """A row of tokens."""

    input_ids: NDArray[np.int64]

    @property
    def token_type_ids(self) -> NDArray[np.int64]:
        """All zero."""
        return np.zeros_like(self.input_ids)


def make_rows(count: int = 60) -> list[Row]:
    """Return rows of 1 to 29 tokens, without token 39."""
    random = np.random.default_rng(1)
    return [Row(random.integers(1, 39, size=random.integers(1, 30))) for _ in range(count)]


def make_job(rows: Sequence[Row], token_budget: int = 64, pad_id: int = 0) -> Job:
    """Return rows cut by a token budget, named q0, q1, …."""
    batches = token_budget_batches([len(row.input_ids) for row in rows], token_budget)
    return Job(rows=rows, batches=batches, pad_id=pad_id, name=lambda index: f"question q{index}")
