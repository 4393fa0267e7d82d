"""Parity: the written ONNX file, run by onnxruntime, against the PyTorch model, over shapes and masks."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from quantkit.errors import CheckpointError, ExportError
from quantkit.progress import track
from quantkit.tracing.trace import TRACE_SHAPE, run

_SHAPES = ((1, 8), (3, 33), (2, 128), (1, 512), (4, 16), (5, 8))
_WANTED = 4  # shapes that are compared, of those that the model's position table holds
_MASKS = ("right-padded", "left-padded", "holes", "all ones")


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityCase:
    """One comparison.

    Attributes:
        shape: (batch, sequence).
        mask: which kind of attention mask.
        max_abs_diff: the largest absolute difference of a logit at an attended position.
    """

    shape: tuple[int, int]
    mask: str
    max_abs_diff: float

    @property
    def name(self) -> str:
        """How the case is called, such as `3x33 left-padded`."""
        return f"{self.shape[0]}x{self.shape[1]} {self.mask}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What to compare over.

    Attributes:
        inputs: names of the graph inputs.
        outputs: names of the graph outputs.
        vocab_size: rows of the word embedding.
        pad_id: the padding token, which stands where a row is padded.
        max_positions: the longest row the model takes.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    vocab_size: int
    pad_id: int
    max_positions: int


def compare(model: torch.nn.Module, path: Path, probe: Probe, *, atol: float) -> tuple[ParityCase, ...]:
    """Compare at four shapes other than the trace's, each with four masks.

    Args:
        model: in float32, in evaluation mode.
        path: the ONNX file.
        probe: names, vocabulary and lengths.
        atol: the largest absolute difference accepted.

    Raises:
        CheckpointError: the PyTorch model's logits are NaN or infinite.
        ExportError: the ONNX model's are, or they differ by more than `atol`; the worst case is named.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Threads that spin between runs would take the cores from PyTorch, which runs in turn with this session.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    cases = []
    planned = list(itertools.product(parity_shapes(probe.max_positions), _MASKS))
    with track("compare with PyTorch", len(planned), "cases") as advance:
        for shape, mask in planned:
            difference = _difference(model, session, probe, shape, mask)
            cases.append(ParityCase(shape=shape, mask=mask, max_abs_diff=difference))
            advance(1)
    last = max(cases, key=lambda case: case.max_abs_diff)
    if last.max_abs_diff > atol:
        raise ExportError(
            f"the exported graph differs from PyTorch by {last.max_abs_diff:.3g} at {last.name}, more than "
            f"{atol:.3g}; another opset may help, or accept it with a larger --atol"
        )
    return tuple(cases)


def _difference(
    model: torch.nn.Module,
    session: onnxruntime.InferenceSession,
    probe: Probe,
    shape: tuple[int, int],
    mask: str,
) -> float:
    """Return the largest absolute difference of a logit at one shape with one mask.

    Scores per token are compared where the mask is 1: what stands at a padded position is read by nobody.
    Logits of a whole text are compared all.
    """
    feeds = _feeds(shape, mask, probe)
    with torch.no_grad():
        tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}
        wanted = [value.numpy() for value in run(model, tensors, probe.outputs)]
    found = session.run(list(probe.outputs), feeds)
    seen = slice(None) if probe.outputs == ("logits",) else feeds["attention_mask"].astype(bool)
    worst = 0.0
    for name, expected, actual in zip(probe.outputs, wanted, found, strict=True):
        case = f"{name} at {shape[0]}x{shape[1]} {mask}"
        if not np.isfinite(expected[seen]).all():
            raise CheckpointError(f"the model's {case} are NaN or infinite; take another checkpoint")
        if expected.shape != actual.shape or not np.isfinite(actual[seen]).all():
            raise ExportError(
                f"the exported graph's {case} are NaN, infinite or misshapen; try another opset"
            )
        worst = max(worst, float(np.abs(expected[seen] - actual[seen]).max()))
    return worst


def parity_shapes(max_positions: int) -> tuple[tuple[int, int], ...]:
    """Return four (batch, sequence) shapes, none of them the trace's, as long as the model allows."""
    traced = (TRACE_SHAPE[0], min(TRACE_SHAPE[1], max_positions))
    shapes = dict.fromkeys((batch, min(sequence, max_positions)) for batch, sequence in _SHAPES)
    shapes.pop(traced, None)
    return tuple(shapes)[:_WANTED]


def _feeds(shape: tuple[int, int], kind: str, probe: Probe) -> dict[str, NDArray[np.int64]]:
    """Return inputs for one case; the same ones every time."""
    batch, sequence = shape
    generator = np.random.default_rng((batch, sequence, _MASKS.index(kind)))
    mask = np.ones(shape, np.int64)
    for row in range(batch):
        # At least one token is attended; rows of a batch have different lengths.
        padded = min(sequence - 1, 1 + (row + 1) * sequence // (2 * batch + 1))
        if kind == "right-padded":
            mask[row, sequence - padded :] = 0
        elif kind == "left-padded":
            mask[row, :padded] = 0
        elif kind == "holes":
            mask[row, 1 + row % 2 :: 3] = 0
    ids = generator.integers(0, probe.vocab_size, shape)
    # A padding token among the text would shift RoBERTa's positions: rows hold it where they are padded only.
    ids[ids == probe.pad_id] = (probe.pad_id + 1) % probe.vocab_size
    if kind in ("right-padded", "left-padded"):
        ids[mask == 0] = probe.pad_id
    types = np.zeros(shape, np.int64)
    types[:, sequence // 2 :] = 1
    every = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: every[name] for name in probe.inputs}
