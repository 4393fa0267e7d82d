"""tune: the runtime profile that is fastest for an artifact on this machine.

Successive halving: many profiles are measured shortly, those that did well longer, and the best few against the default
until it is clear. All ratios are to the default, measured in the same round.
"""

from quantkit.stages.tune.tune import Tuned, require_place, tune

__all__ = ["Tuned", "require_place", "tune"]
