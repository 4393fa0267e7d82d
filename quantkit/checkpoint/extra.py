"""Whether the extra `export`, which loads and traces checkpoints, is installed."""

import importlib

from quantkit.errors import UsageError

INSTALL = (
    "pip install torch --index-url https://download.pytorch.org/whl/cpu (or Linux gets 3 GB of CUDA), then "
    'pip install "quantkit[export]"'
)
"""What brings what export needs: PyTorch's own index has builds without CUDA."""

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
        raise UsageError(f"exporting needs {error.name}, which is not installed; run {INSTALL}") from None
