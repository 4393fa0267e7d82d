"""Ways to run many batches of one model at once; `quantkit.engines` has the table of them."""

from quantkit.runtime.engine.engine import BatchFailed, Closing, Engine, Feeds
from quantkit.runtime.engine.model import Model
from quantkit.runtime.engine.processes import ProcessEngine, open_processes
from quantkit.runtime.engine.threads import ThreadEngine, open_threads

__all__ = [
    "BatchFailed",
    "Closing",
    "Engine",
    "Feeds",
    "Model",
    "ProcessEngine",
    "ThreadEngine",
    "open_processes",
    "open_threads",
]
