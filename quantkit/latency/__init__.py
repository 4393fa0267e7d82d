"""Latency: what a piece of a graph costs on this machine. It knows no schemes: a snippet says what it is.

* `snippet`: what is asked for.
* `cost`: how it is measured, and why.
* `table`: what was measured before.
"""

from quantkit.latency.cost import measure_beside, measure_costs
from quantkit.latency.snippet import Snippet

__all__ = ["Snippet", "measure_beside", "measure_costs"]
