"""Where the data that ships with quantkit is: `recipes/`, `calibration/` and the quickstart model."""

from pathlib import Path

from quantkit.errors import UsageError

_PACKAGE = Path(__file__).parent


def _shipped(name: str) -> Path:
    """Return the folder inside the installed package, or beside it in a checkout."""
    for folder in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise UsageError(f"{name}: the folder is missing from this installation; install quantkit again")


def recipes_folder() -> Path:
    """Return the folder of shipped recipes."""
    return _shipped("recipes")


def calibration_folder() -> Path:
    """Return the folder of shipped calibration sets."""
    return _shipped("calibration")


def quickstart_model() -> Path:
    """Return the folder of the small checkpoint that ships with quantkit."""
    folder = _PACKAGE / "quickstart" / "model"
    if not folder.is_dir():
        raise UsageError(f"{folder}: is missing from this installation; install quantkit again")
    return folder
