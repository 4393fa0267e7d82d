"""`huggingface_hub`, imported when it is needed, and its errors in one line."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from quantkit.errors import RegistryError, UsageError
from quantkit.registry.hub.location import HubLocation


def hub_library(what: str) -> Any:
    """Return `huggingface_hub`.

    Args:
        what: the option or address that needs it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise UsageError(
            f"{what}: huggingface_hub is not installed; run: pip install 'quantkit[hub]'"
        ) from None
    return huggingface_hub


@contextlib.contextmanager
def asking(location: HubLocation) -> Iterator[Any]:
    """Yield `huggingface_hub`; what it says of this place in the block becomes one line.

    Raises:
        UsageError: it is not installed.
        RegistryError: the Hub refuses, has no such place, or cannot be reached.
    """
    library = hub_library(str(location))
    from huggingface_hub import errors
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    hidden = are_progress_bars_disabled()
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield library
    except errors.GatedRepoError:
        raise RegistryError(
            f"{location}: access is restricted; ask for it on huggingface.co and log in with `hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise RegistryError(f"{location}: the Hub has no such revision; give another one") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise RegistryError(
            f"{location}: the Hub has no such model, or shows it only to others; check the name, or `hf auth login`"
        ) from None
    # Offline mode, an empty cache, refusals and lost connections are all OSErrors.
    except (errors.RevisionResolutionError, errors.XetDownloadError, OSError) as error:
        raise RegistryError(
            f"{location}: the Hub refuses or cannot be reached ({_first_line(error)}); "
            "check the connection and `hf auth whoami`"
        ) from None
    finally:
        if not hidden:
            enable_progress_bars()


def _first_line(error: Exception) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = str(cause).strip().splitlines()
    return lines[0][:120] if lines else type(cause).__name__
