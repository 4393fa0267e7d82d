"""Files that the Hugging Face Hub keeps beside an artifact, named one by one.

Neither the digest nor the seal covers them, so nothing in them is run or believed: quantkit reads no setting there, and
`quantkit.registry.hub.claims` holds what they say of the evaluation to the evidence.
"""

from pathlib import Path

from quantkit.errors import ArtifactError
from quantkit.files import inside

CARD = "README.md"
RESULTS = ".eval_results/quantkit.yaml"
ATTRIBUTES = ".gitattributes"
HUB_FILES = (ATTRIBUTES, RESULTS, "LICENSE", CARD)
LARGEST = 1 << 20
"""Bytes; a larger file is none of them."""


def hub_files(folder: Path) -> list[str]:
    """Return the names, sorted, of those that are in a folder: files (no pipes or folders) that do not leave it."""
    return [name for name in HUB_FILES if _is_one(folder, name)]


def _is_one(folder: Path, name: str) -> bool:
    try:
        path = inside(folder, name)
        return path.is_file() and path.stat().st_size <= LARGEST
    except (ArtifactError, OSError):
        return False
