"""The cache of the Hugging Face Hub, in which the files of a snapshot are links to blobs beside it.

    models--owner--name/snapshots/REVISION/model.onnx → ../../blobs/DIGEST

Such a link leaves the snapshot's folder and stays inside its repository's; no other link may leave a folder.
"""

from pathlib import Path

_REPOSITORY = "models--"


def blobs_of(folder: Path) -> Path | None:
    """Return where the links of a snapshot, or of a folder in one, may lead; None for a folder that is in no cache.

    Nothing below is asked whether it is a link itself: a resolved path that is inside the result is no further away.
    """
    place = folder.resolve()
    for snapshot in (place, *place.parents):
        snapshots = snapshot.parent
        if snapshots.name == "snapshots" and snapshots.parent.name.startswith(_REPOSITORY):
            return snapshots.parent / "blobs"
    return None


def is_blob(folder: Path, path: Path) -> bool:
    """Return whether a path below a snapshot is, all links followed, a blob of the same repository."""
    blobs = blobs_of(folder)
    return blobs is not None and path.resolve().parent == blobs
