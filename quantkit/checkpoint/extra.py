"""Whether the extra `export`, which loads and traces checkpoints, is installed."""

import importlib

from quantkit.errors import UsageError

_NEEDED = ("onnxscript", "torch", "transformers")


def require_torch() -> None:
    """Check that a checkpoint can be exported, so that a bare installation gets one line.

    Raises:
        UsageError: torch, transformers or onnxscript is not installed.
    """
    try:
        for name in _NEEDED:
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f'exporting needs {error.name}, which is not installed; run pip install "quantkit[export]"'
        ) from None
