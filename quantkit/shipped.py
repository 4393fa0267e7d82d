"""Where the data that ships with quantkit is: `recipes/`, `calibration/` and the quickstart model."""

from pathlib import Path

from quantkit.errors import UsageError

_PACKAGE = Path(__file__).parent


def _shipped(name: str) -> Path:
    """Return a folder of the package; in a checkout it is a link to the folder at the top."""
    folder = _PACKAGE / name
    if not folder.is_dir():
        raise UsageError(f"{folder}: is missing from this installation; install quantkit again")
    return folder


def recipes_folder() -> Path:
    """Return the folder of shipped recipes."""
    return _shipped("_shipped/recipes")


def calibration_folder() -> Path:
    """Return the folder of shipped calibration sets."""
    return _shipped("_shipped/calibration")


def quickstart_model() -> Path:
    """Return the folder of the small checkpoint that ships with quantkit."""
    return _shipped("quickstart/model")
