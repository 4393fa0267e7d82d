"""The tiny checkpoints of the distillation, for searches that export their teacher."""

from distillation.conftest import make_checkpoint, one_thread

__all__ = ["make_checkpoint", "one_thread"]
