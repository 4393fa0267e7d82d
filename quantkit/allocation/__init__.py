"""Allocation: slots with options, each with its damage, its cost and what it uses; the cheapest choice within limits.

It knows no models, no schemes and no settings: a client says what its slots and options are, and measures candidates.

* `slots`: the values. Slots, their options, limits, solutions.
* `solver`: the cheapest, or least damaging, solution within limits, exactly.
* `search`: the walk to the cheapest solution that passes a client's own measurement.
* `journal`: what was measured, so that an interrupted search goes on.
"""

from quantkit.allocation.journal import Journal
from quantkit.allocation.search import Asked, Found, Verdict, walk
from quantkit.allocation.slots import Limit, Priced, Slots, Solution, total

__all__ = [
    "Asked",
    "Found",
    "Journal",
    "Limit",
    "Priced",
    "Slots",
    "Solution",
    "Verdict",
    "total",
    "walk",
]
