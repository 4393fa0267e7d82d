"""Which digest a version had when it was last seen from here: a registry's tag can be moved, and nobody is told.

One small file per reference below the user's cache folder. It knows what this user saw on this machine; a first
look has nothing to compare with, which is what `--digest` and signatures are for.
"""

import logging
from pathlib import Path

from quantkit.errors import OutputError, RegistryError
from quantkit.files import cache_folder, sha256_bytes, write_json
from quantkit.strict_json import read_json

_LOG = logging.getLogger(__name__)


def require_unmoved(place: str, digest: str) -> None:
    """Check that a version still has the digest it had.

    Raises:
        RegistryError: it has another one now.
    """
    path = _record(place)
    try:
        before = read_json(path)["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if before != digest:
        raise RegistryError(
            f"{place}: its tag was moved: it was {str(before)[:19]} when it was seen here before and is "
            f"{digest[:19]} now; ask its publisher, and if this is right say so with --digest, or remove {path}"
        )


def remember(place: str, digest: str) -> None:
    """Keep the digest of a version that was published from here, or verified."""
    try:
        write_json(_record(place), {"reference": place, "digest": digest})
    except OutputError as error:
        _LOG.warning("%s is not remembered, so a moved tag would not be noticed: %s", place, error)


def _record(place: str) -> Path:
    return cache_folder() / "seen" / f"{sha256_bytes(place.encode())}.json"
