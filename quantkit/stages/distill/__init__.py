"""distill: a student checkpoint learns to answer as its teacher does, and stays a checkpoint as any other.

* `distill`: the stage.
* `questions`: what is learned on and what is selected by; none of it is the gate's.
* `written`: the checkpoint and its record.
"""

from quantkit.stages.distill.distill import Family, distill, ingredients

__all__ = ["Family", "distill", "ingredients"]
