"""Whether calibration rows hold enough to see something of: text, and for second moments tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantkit.errors import DatasetError
from quantkit.runtime.run import Row
from quantkit.tasks.calibration_set import CalibrationSet


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What a message tells of a set that is not enough.

    Attributes:
        text: what to do where it holds no text.
        tokens: what second moments are for, and what to do where it has too few tokens for them.
    """

    text: str
    tokens: str


TO_QUANTIZE = Advice(
    text="give questions and paragraphs with text as --calib",
    tokens="which GPTQ needs; give more questions, or choose rounding nearest",
)


def require_text(
    asked: CalibrationSet, rows: Sequence[Row], special_ids: Sequence[int], *, advice: Advice
) -> None:
    """Check that there is more in the rows than what stands around texts.

    Args:
        asked: the set.
        rows: as the model reads it.
        special_ids: of the tokenizer.
        advice: what to do.

    Raises:
        DatasetError: there is not.
    """
    if all(np.isin(row.input_ids, special_ids).all() for row in rows):
        raise DatasetError(
            f"{asked.dataset.path}: its {len(asked.ids)} calibration questions hold no text; {advice.text}"
        )


def require_moments(asked: CalibrationSet, rows: Sequence[Row], channels: int, *, advice: Advice) -> None:
    """Check that there are as many tokens as the widest linear layer reads channels.

    Args:
        asked: the set.
        rows: as the model reads it.
        channels: inputs of the widest layer.
        advice: what to do.

    Raises:
        DatasetError: there are fewer: their second moments would be singular.
    """
    tokens = sum(len(row.input_ids) for row in rows)
    if tokens < channels:
        raise DatasetError(
            f"{asked.dataset.path}: {tokens:,} tokens in {len(asked.ids)} calibration questions are too few for the "
            f"second moments of {channels:,} channels, {advice.tokens}"
        )
