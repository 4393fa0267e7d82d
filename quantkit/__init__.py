"""quantkit: INT8 BERT releases you can prove. Its functions are in `quantkit.api`."""

import importlib
from typing import Any

from quantkit.auto_classes import register
from quantkit.telemetry import turn_off

__version__ = "0.1.0"

_API = {
    "export": "making",
    "import_": "making",
    "quantize": "making",
    "search_report": "making",
    "check_data": "looking",
    "load": "model",
    "bench": "proving",
    "distill": "smaller",
    "evaluate": "proving",
    "gate": "proving",
    "inspect": "proving",
    "publish": "proving",
    "run": "running",
    "search": "smaller",
    "sensitivity": "proving",
}
"""Function → its module in `quantkit.api`; `__init__.pyi` says the same to type checkers."""

# Here, because every way to onnxruntime leads past here first: commands, libraries, child processes, Ray's workers.
turn_off()
register()


def __getattr__(name: str) -> Any:
    """Import a function of the API when it is first used (PEP 562)."""
    if name not in _API:
        raise AttributeError(f"module 'quantkit' has no attribute {name!r}")
    return getattr(importlib.import_module(f"quantkit.api.{_API[name]}"), name)


def __dir__() -> list[str]:
    """Return the names that are there, and those that are not imported yet."""
    return sorted({*globals(), *_API})
