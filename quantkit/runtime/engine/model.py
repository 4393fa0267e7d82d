"""What an engine opens."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.sessions import Reduction

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A graph, and how it is to run.

    Attributes:
        path: the ONNX file that is opened: the model, or its variant for batches of equal lengths.
        outputs: the graph outputs wanted.
        profile: runtime, instances, threads and their options.
        folder: the engine's own; what it writes is there, and the engine takes it away in the end.
        name: what messages call the model.
        optimized: onnxruntime has optimized and packed the file already.
        reduction: runs behind every batch, where that ran: what it returns is the answer in place of the outputs.
    """

    path: Path
    outputs: tuple[str, ...]
    profile: RuntimeProfile
    folder: Path
    name: str
    optimized: bool = False
    reduction: Reduction | None = None

    def can_pin(self) -> bool:
        """Return whether instances are to be bound to cores; where the system cannot, warn."""
        able = hasattr(os, "sched_setaffinity")
        if self.profile.pinned and not able:
            _LOG.warning("this system does not bind instances to cores; they run on any")
        return self.profile.pinned and able
