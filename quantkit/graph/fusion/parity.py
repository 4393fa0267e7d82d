"""Parity: the fused graph computes what the unfused one does, for lengths and masks of every kind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from quantkit.errors import FusionError
from quantkit.progress import track
from quantkit.runtime.session import ONNXRUNTIME_ERRORS

# Largest difference between logits, times max(1, largest logit). A wrong mask is off by 1 and more; fused
# kernels, which add in another order, by 1e-6 to 1e-5.
TOLERANCE = 1e-4
SHAPES = ((1, 8), (3, 17), (2, 33))
MASKS = ("all ones", "right-padded", "left-padded", "holes")

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRanges:
    """What inputs the model takes: ids below `tokens` and `types`, sequences up to `length`."""

    tokens: int
    types: int
    length: int
    padding: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TokenRanges":
        """Read the ranges from `config.json`; RoBERTa's positions begin behind the padding id."""
        padding = int(config.get("pad_token_id") or 0)
        positions = int(config.get("max_position_embeddings") or 512)
        return cls(
            tokens=int(config["vocab_size"]),
            types=max(1, int(config.get("type_vocab_size") or 1)),
            length=max(1, positions - padding - 1),
            padding=padding,
        )


def check_parity(reference: Path, fused: Path, ranges: TokenRanges) -> dict[str, Any]:
    """Run both models on `SHAPES` x `MASKS` and compare their outputs at attended positions.

    Outputs of shape [batch, sequence] are compared where the mask is 1, others everywhere.

    Returns:
        For the stage record: `tolerance`, `worst` (the largest difference, over max(1, largest logit)),
        `shapes` and `masks`.

    Raises:
        FusionError: they differ, or a model gives NaN or cannot be run.
    """
    cases = list(_cases(ranges))
    worst = 0.0
    with track("parity", total=2 * len(cases), unit="batches") as advance:
        # One model at a time: two of BERT-Large's size need not fit in memory together.
        outputs: list[list[dict[str, Array]]] = []
        for path in (reference, fused):
            session = _session(path)
            outputs.append([])
            for case in cases:
                outputs[-1].append(_run(session, case.feeds, path))
                advance(1)
            del session
    for case, expected, actual in zip(cases, *outputs, strict=True):
        for name, wanted in expected.items():
            found = actual[name]
            if not np.isfinite(wanted).all() or not np.isfinite(found).all():
                which = reference if not np.isfinite(wanted).all() else fused
                raise FusionError(
                    f"{which}: {name} is NaN or infinite for {case.name}; check the checkpoint's weights"
                )
            difference = _difference(wanted, found, case.feeds["attention_mask"])
            worst = max(worst, difference)
            if difference > TOLERANCE:
                raise FusionError(
                    f"{fused}: {name} of the fused graph is off by {difference:.2g} for {case.name}, "
                    f"where {TOLERANCE:g} is allowed; leave fusion out and report the model"
                )
    return {
        "tolerance": TOLERANCE,
        "worst": worst,
        "shapes": [list(shape) for shape in SHAPES],
        "masks": list(MASKS),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    name: str
    feeds: dict[str, Array]


def _cases(ranges: TokenRanges) -> Iterator[_Case]:
    random = np.random.default_rng(0)
    for batch, sequence in SHAPES:
        sequence = min(sequence, ranges.length)  # noqa: PLW2901 - short models take short sequences
        for kind in MASKS:
            mask = padding_mask(kind, batch, sequence)
            tokens = random.integers(0, ranges.tokens, (batch, sequence))
            yield _Case(
                name=f"a batch of {batch} x {sequence} tokens, {kind}",
                feeds={
                    "input_ids": np.where(mask == 1, tokens, ranges.padding),
                    "attention_mask": mask,
                    "token_type_ids": random.integers(0, ranges.types, (batch, sequence)),
                },
            )


def padding_mask(kind: str, batch: int, sequence: int) -> npt.NDArray[np.int64]:
    """Return a mask [batch, sequence] of one of `MASKS`; every row attends to a token, rows differ."""
    mask = np.ones((batch, sequence), np.int64)
    for row in range(batch):
        hidden = min(sequence - 1, (row + 1) * sequence // (batch + 1))
        if kind == "right-padded":
            mask[row, sequence - hidden :] = 0
        elif kind == "left-padded":
            mask[row, :hidden] = 0
        elif kind == "holes":
            mask[row, 1 + row % 2 :: 2 + row % 3] = 0
    return mask


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except ONNXRUNTIME_ERRORS as error:
        raise FusionError(
            f"{path}: onnxruntime cannot load it ({first_line(error)}); export it again"
        ) from None


def _run(session: onnxruntime.InferenceSession, feeds: dict[str, Array], path: Path) -> dict[str, Array]:
    names = [output.name for output in session.get_outputs()]
    try:
        taken = {entry.name: feeds[entry.name] for entry in session.get_inputs()}
        return dict(zip(names, session.run(names, taken), strict=True))
    except KeyError as error:
        raise FusionError(
            f"{path}: has an input {error} that quantkit does not know; export it again"
        ) from None
    except ONNXRUNTIME_ERRORS as error:
        raise FusionError(
            f"{path}: onnxruntime cannot run it ({first_line(error)}); export it again"
        ) from None


def _difference(expected: Array, actual: Array, mask: Array) -> float:
    if expected.shape == mask.shape:
        expected, actual = expected[mask == 1], actual[mask == 1]
    return float(np.abs(expected - actual).max() / max(1.0, float(np.abs(expected).max())))


def first_line(error: Exception) -> str:
    """Return the first line of what onnxruntime says, at most 160 characters."""
    return str(error).splitlines()[0][:160]
