"""Mixed precision: which choice each group of layers gets (`--mode auto`).

A client of `allocation` (groups are slots, choices are options), `latency` and `exam`.

* `auto`: the whole search, from an FP32 artifact to settings; `asked`: what the settings ask of it.
* `groups`, `options`, `noise`, `group_model`: what can be chosen, what noise it makes, and what its latency is of.
* `sensitivity`, `priced`: damage, measured and predicted; slots and limits for the solver.
* `workbench`, `affordable`, `candidate`: assignments become models, and are measured.
* `written`: the result as settings.
"""

from quantkit.mixed_precision.auto import Chosen, find

__all__ = ["Chosen", "find"]
