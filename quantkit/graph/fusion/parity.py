"""Parity: the fused graph computes what the unfused one does, for lengths and masks of every kind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from quantkit.errors import FusionError
from quantkit.graph.parity import MASKS, Case, TokenRanges, cases
from quantkit.progress import track
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.session import ONNXRUNTIME_ERRORS, first_line, open_part

# Largest difference between logits, times max(1, largest logit). A wrong mask is off by 1 and more; fused
# kernels, which add in another order, by 1e-6 to 1e-5.
TOLERANCE = 1e-4
SHAPES = ((1, 8), (3, 17), (2, 33))

Array = NDArray[Any]


def check_parity(reference: Path, fused: Path, ranges: TokenRanges, *, per_token: bool) -> dict[str, Any]:
    """Run both models on `SHAPES` x `MASKS` and compare their outputs.

    Args:
        reference: the unfused model.
        fused: the fused one.
        ranges: what inputs they take.
        per_token: outputs are [batch, sequence], and compared where the mask is 1; others everywhere.

    Returns:
        For the stage record: `tolerance`, `worst` (the largest difference, over max(1, largest logit)),
        `shapes` and `masks`.

    Raises:
        FusionError: they differ, or a model gives NaN or cannot be run.
    """
    planned = cases(ranges, SHAPES)
    worst = 0.0
    with track("parity", total=2 * len(planned), unit="batches") as advance:
        # One model at a time: two of BERT-Large's size need not fit in memory together.
        outputs: list[list[dict[str, Array]]] = []
        for path in (reference, fused):
            session = _session(path)
            outputs.append([])
            for case in planned:
                outputs[-1].append(_run(session, case.feeds, path))
                advance(1)
            del session
    for case, expected, actual in zip(planned, *outputs, strict=True):
        for name, wanted in expected.items():
            found = actual[name]
            if not np.isfinite(wanted).all() or not np.isfinite(found).all():
                which = reference if not np.isfinite(wanted).all() else fused
                raise FusionError(
                    f"{which}: {name} is NaN or infinite for {_said(case)}; check the checkpoint's weights"
                )
            difference = _difference(wanted, found, case, per_token=per_token)
            worst = max(worst, difference)
            if difference > TOLERANCE:
                raise FusionError(
                    f"{fused}: {name} of the fused graph is off by {difference:.2g} for {_said(case)}, "
                    f"where {TOLERANCE:g} is allowed; leave fusion out and report the model"
                )
    return {
        "tolerance": TOLERANCE,
        "worst": worst,
        "shapes": [list(shape) for shape in SHAPES],
        "masks": list(MASKS),
    }


def _said(case: Case) -> str:
    return f"a batch of {case.shape[0]} x {case.shape[1]} tokens, {case.mask}"


def _session(path: Path) -> onnxruntime.InferenceSession:
    try:
        return open_part(path, threads=cpu_facts().cores)
    except ONNXRUNTIME_ERRORS as error:
        raise FusionError(
            f"{path}: onnxruntime cannot load it ({first_line(error)}); export it again"
        ) from None


def _run(session: onnxruntime.InferenceSession, feeds: Mapping[str, Array], path: Path) -> dict[str, Array]:
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


def _difference(expected: Array, actual: Array, case: Case, *, per_token: bool) -> float:
    expected, actual = (case.seen(output, per_token=per_token) for output in (expected, actual))
    return float(np.abs(expected - actual).max() / max(1.0, float(np.abs(expected).max())))
