"""Checkpoints: found, checked as far as possible without torch, and loaded with it.

`load` is the only module here that needs torch and transformers, and `require_torch` says whether they are there.
"""

from quantkit.checkpoint.checkpoint import Checkpoint, read_checkpoint
from quantkit.checkpoint.files import checkpoint_digest
from quantkit.checkpoint.installed import require_torch

__all__ = ["Checkpoint", "checkpoint_digest", "read_checkpoint", "require_torch"]
