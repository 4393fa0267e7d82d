"""A release from the Hub: the snapshot of a revision in the user's cache of the Hub, not verified yet."""

from pathlib import Path

from quantkit.registry.hub.client import asking
from quantkit.registry.hub.location import HubLocation


def fetch(location: HubLocation) -> Path:
    """Download all files of a revision, or find them in the cache, and return the snapshot's folder.

    All of them, so that a file which the manifest does not list is noticed. Whoever reads the folder verifies it.

    Raises:
        RegistryError: there is no such model or revision, no permission, or no connection.
        UsageError: `huggingface_hub` is not installed.
    """
    with asking(location) as library:
        return Path(library.snapshot_download(location.repository, revision=location.revision))
