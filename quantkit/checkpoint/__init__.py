"""Checkpoints: found, checked as far as possible without torch, and loaded with it.

`load` is the only module here that needs torch and transformers.
"""

from quantkit.checkpoint.checkpoint import Checkpoint, read_checkpoint
from quantkit.checkpoint.files import checkpoint_digest

__all__ = ["Checkpoint", "checkpoint_digest", "read_checkpoint"]
