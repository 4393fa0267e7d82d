"""Shapes: heads and feed-forward widths of each layer, searched under limits (`quantkit search`).

A client of `allocation` (blocks are slots, numbers of units are options), `latency` and `exam`.

* `questions`: what is read first; `find`: the whole search, from a teacher's fused artifact; `search`: its walk;
  `goal`: what is asked.
* `blocks`, `order`, `options`: what can be removed, in which order, and what is left.
* `damage`, `onward`, `rest`: what each option does to the answers; `price`, `wanted`, `block_model`: what it costs.
* `slots`, `correct`: options for the solver.
* `rewrite`, `quantized`, `heal`, `trials`: candidates as graphs and INT8 models, and judged.
* `away`: candidates of a round made on a cluster, together, as `trials` makes them here.
* `kept`: healed candidates on disk, for a search that goes on; `phases`, `hours`: how long it takes, here and on more
  machines.
* `materialise`: candidates as checkpoints; `sanity`: what must hold of every search; `record`: the report.
"""

from quantkit.shapes.find import Found, find

__all__ = ["Found", "find"]
