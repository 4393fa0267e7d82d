"""Telemetry of the libraries that run models, turned off: no command of quantkit tells anybody of a model or a machine.

* onnxruntime (1.29 and later, on Linux too) keeps a device id and a store of events in the user's cache, and a thread
  that sends them, unless ORT_DISABLE_TELEMETRY says no when it is first imported. So `quantkit` itself sets it.
* openvino brings openvino-telemetry, which asks nobody, writes into ~/intel and sends when openvino is imported. It has
  a stand-in of its own that does nothing, for where that package is missing; it is given that one.
* huggingface_hub asks the Hub once a day for a list of agents, and tells it which one runs it and which torch is there,
  unless HF_HUB_DISABLE_TELEMETRY says no when it is first imported.

Whoever has chosen keeps the choice: both variables are left as they were set, and OpenVINO's own `opt_in_out
--opt_in` is heard. Imported before everything else, so it imports next to nothing.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ONNXRUNTIME_SWITCH = "ORT_DISABLE_TELEMETRY"
HUB_SWITCH = "HF_HUB_DISABLE_TELEMETRY"
_YES = ("1", "true", "yes", "on")  # what onnxruntime takes for one
_OPENVINO_CONSENT = "intel/openvino_telemetry"  # below the home folder; `opt_in_out` writes 1 or 0
_OPENVINO_MODULE = "openvino_telemetry"


def turn_off() -> None:
    """Turn telemetry off for this process and those it starts, unless somebody has chosen."""
    for switch in (ONNXRUNTIME_SWITCH, HUB_SWITCH):
        os.environ.setdefault(switch, "1")


@contextmanager
def off_in_openvino() -> Iterator[None]:
    """Let openvino, imported in the block, find no telemetry, unless the user has opted in."""
    if _openvino_opted_in() or _OPENVINO_MODULE in sys.modules:
        yield
        return
    # None there makes `import` fail as if the package were not installed.
    sys.modules[_OPENVINO_MODULE] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_OPENVINO_MODULE]


def telemetry() -> dict[str, bool]:
    """Return for each library whether it collects telemetry when quantkit runs it."""
    return {
        "onnxruntime": os.environ.get(ONNXRUNTIME_SWITCH, "").strip().lower() not in _YES,
        "openvino": _openvino_opted_in(),
    }


def _openvino_opted_in() -> bool:
    try:
        return (Path.home() / _OPENVINO_CONSENT).read_text(encoding="utf-8").strip() == "1"
    except (OSError, ValueError, RuntimeError):
        return False
