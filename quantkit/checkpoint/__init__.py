"""Checkpoints: found, checked as far as possible without torch, and loaded with it.

`checkpoint` finds and checks (`hub` fetches, `files` hashes, `safetensors` reads headers), and `load` is the only
module here that imports torch and transformers; `require_torch` says beforehand whether it could.
"""

from quantkit.checkpoint.checkpoint import Checkpoint, read_checkpoint
from quantkit.checkpoint.extra import require_torch
from quantkit.checkpoint.files import checkpoint_digest

__all__ = ["Checkpoint", "checkpoint_digest", "read_checkpoint", "require_torch"]
