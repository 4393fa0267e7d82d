"""Whether what exporting needs is installed."""

from quantkit.errors import UsageError


def require_torch() -> None:
    """Check that torch and what goes with it can be imported.

    Raises:
        UsageError: one of them is not installed.
    """
    try:
        # Each by its name, so that a bare installation gets one line.
        import onnxscript  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(
            f'exporting needs {error.name}, which is not installed; run pip install "quantkit[export]"'
        ) from None
