"""The tiny checkpoints of the distillation, for lines that train."""

from distillation.conftest import make_checkpoint, one_thread

__all__ = ["make_checkpoint", "one_thread"]
