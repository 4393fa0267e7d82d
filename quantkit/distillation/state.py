"""State: what a training keeps on disk, so that it goes on after any stop as if there had been none.

    <cache>/distill/<key>/
        .lock                    held while a training is at work
        state.safetensors        learned weights, the optimizer's moments; in its metadata all else
        best-<step>.safetensors  the best weights so far

Every file appears whole. The best weights are written before the state that names them, and older ones removed after
it, so a kill at any moment leaves a state whose best is there. The key is made of all that decides the weights; only
another training writes there, and it must wait.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from quantkit.files import cache_folder, canonical_json, sole_user, write_bytes
from quantkit.records.distill import Evaluated, Speeds
from quantkit.records.record import Record
from quantkit.strict_json import parse_json

_STATE = "state.safetensors"
_LOCK = ".lock"
_NOTE = "progress"


class Progress(Record):
    """Where a training is; all that is no tensor.

    Attributes of note: `blocks` and `whole` are the steps it has, fixed before the first one.
    """

    step: int = 0
    blocks: int
    whole: int
    threads: int
    keep: Literal["best", "last"] = "best"
    speeds: Speeds
    teacher: Evaluated
    evaluated: tuple[Evaluated, ...]
    loss: float = 0.0
    losses: dict[str, float] = {}
    last_losses: dict[str, float] = {}
    rows: int = 0
    tokens: int = 0
    seconds: float = 0.0
    trained_seconds: float = 0.0

    @property
    def best(self) -> Evaluated:
        """The best evaluation, the first of equal ones; or the last one, where that is what is kept."""
        if self.keep == "last":
            return self.evaluated[-1]
        return max(self.evaluated, key=lambda found: found.merit)

    @property
    def since_best(self) -> int:
        """How many evaluations came after the best one."""
        return len(self.evaluated) - 1 - self.evaluated.index(self.best)


class TrainingFolder:
    """Where a training is kept."""

    def __init__(self, key: str) -> None:
        self.path: Path = cache_folder() / "distill" / key

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this training.

        Raises:
            UsageError: another one is at work in it.
            OutputError: it cannot be written.
        """
        busy = "the same training is at work there; wait for it, or give another --seed"
        with sole_user(self.path, _LOCK, busy=busy):
            yield

    def read(self) -> tuple[Progress, dict[str, Tensor]] | None:
        """Return where the training stopped, or None where it begins: what cannot be read is begun again."""
        try:
            with safe_open(self.path / _STATE, framework="pt") as file:
                note = (file.metadata() or {})[_NOTE]
            progress = Progress.model_validate(parse_json(note))
            tensors = safetensors.torch.load_file(self.path / _STATE)
            if not self._best(progress).is_file():
                return None
        except (OSError, KeyError, ValueError, SafetensorError, ValidationError):
            return None
        return progress, tensors

    def write(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Keep a state.

        Raises:
            OutputError: the disk is full, or there is no permission.
        """
        note = {_NOTE: canonical_json(progress.model_dump(mode="json")).decode()}
        write_bytes(self.path / _STATE, safetensors.torch.save(_plain(tensors), metadata=note))
        for old in self.path.glob("best-*.safetensors"):
            if old != self._best(progress):
                old.unlink(missing_ok=True)

    def write_best(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Keep the weights after a step; a state that names them follows."""
        write_bytes(self.path / _best_name(step), safetensors.torch.save(_plain(weights)))

    def read_best(self, progress: Progress) -> dict[str, Tensor]:
        """Return the best weights."""
        return dict(safetensors.torch.load_file(self._best(progress)))

    def remove(self) -> None:
        """Remove everything: the training is done."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _best(self, progress: Progress) -> Path:
        return self.path / _best_name(progress.best.step)


def _best_name(step: int) -> str:
    return f"best-{step}.safetensors"


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
