"""Parity: the written ONNX file, run by onnxruntime, against the PyTorch model, over shapes and masks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from quantkit.errors import CheckpointError, ExportError
from quantkit.graph.parity import Case, TokenRanges, cases
from quantkit.progress import track
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.session import open_part
from quantkit.tracing.trace import TRACE_SHAPE, Signature, run

_SHAPES = ((1, 8), (3, 33), (2, 128), (1, 512), (4, 16), (5, 8))
_WANTED = 4  # shapes that are compared, of those that the model's position table holds


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One comparison: what the case is called, and the largest absolute difference of a logit that counts."""

    case: str
    max_abs_diff: float


def compare(
    model: torch.nn.Module, path: Path, signature: Signature, ranges: TokenRanges, *, atol: float
) -> tuple[Difference, ...]:
    """Compare at four shapes other than the trace's, each with four masks.

    Args:
        model: in float32, in evaluation mode.
        path: the ONNX file.
        signature: of both.
        ranges: vocabulary and lengths.
        atol: the largest absolute difference accepted.

    Raises:
        CheckpointError: the PyTorch model's logits are NaN or infinite.
        ExportError: the ONNX model's are, or they differ by more than `atol`; the worst case is named.
    """
    session = open_part(path, threads=cpu_facts().cores)
    planned = cases(ranges, parity_shapes(ranges.length))
    found = []
    with track("with PyTorch", len(planned), "cases") as advance:
        for case in planned:
            found.append(
                Difference(case=case.name, max_abs_diff=_difference(model, session, signature, case))
            )
            advance(1)
    last = max(found, key=lambda one: one.max_abs_diff)
    if last.max_abs_diff > atol:
        raise ExportError(
            f"the exported graph differs from PyTorch by {last.max_abs_diff:.3g} at {last.case}, more than "
            f"{atol:.3g}; another opset may help, or accept it with a larger --atol"
        )
    return tuple(found)


def _difference(
    model: torch.nn.Module, session: onnxruntime.InferenceSession, signature: Signature, case: Case
) -> float:
    """Return the largest absolute difference of a logit that counts."""
    feeds = {name: case.feeds[name] for name in signature.inputs}
    with torch.no_grad():
        tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}
        wanted = [value.numpy() for value in run(model, tensors, signature.outputs)]
    found = session.run(list(signature.outputs), feeds)
    worst = 0.0
    for name, expected, actual in zip(signature.outputs, wanted, found, strict=True):
        place = f"{name} at {case.name}"
        counts = case.seen(expected, per_token=signature.per_token)
        if not np.isfinite(counts).all():
            raise CheckpointError(f"the model's {place} are NaN or infinite; take another checkpoint")
        same_shape = expected.shape == actual.shape
        theirs = case.seen(actual, per_token=signature.per_token) if same_shape else actual
        if not same_shape or not np.isfinite(theirs).all():
            raise ExportError(
                f"the exported graph's {place} are NaN, infinite or misshapen; try another opset"
            )
        worst = max(worst, float(np.abs(counts - theirs).max()))
    return worst


def parity_shapes(max_positions: int) -> tuple[tuple[int, int], ...]:
    """Return four (batch, sequence) shapes, none of them the trace's, as long as the model allows."""
    traced = (TRACE_SHAPE[0], min(TRACE_SHAPE[1], max_positions))
    shapes = dict.fromkeys((batch, min(sequence, max_positions)) for batch, sequence in _SHAPES)
    shapes.pop(traced, None)
    return tuple(shapes)[:_WANTED]
