"""Holding an artifact: whoever runs it, or makes another of it, works on bytes that nobody can change meanwhile."""

import contextlib
from collections.abc import Iterator

from quantkit.artifact import Artifact
from quantkit.artifact.artifact import is_weights
from quantkit.artifact.snapshot import snapshot
from quantkit.errors import ArtifactError
from quantkit.runtime.model_files import external_files, read_graph


@contextlib.contextmanager
def hold(artifact: Artifact, *, read: bool = True) -> Iterator[Artifact]:
    """Yield the artifact to read from: a private copy, hashed on the way, whose model reads no file but the listed.

    Reports are still read from and written into the original, and errors name it. One that is held already is yielded
    as it is.

    Args:
        artifact: opened, and so checked byte by byte.
        read: False: its graph is not looked into here; whoever works on the copy calls `require_listed` first.

    Raises:
        ArtifactError: a byte is not what the manifest says that was read when the artifact was opened, or the model
            keeps weights elsewhere than in the files of the model that it lists.
        OutputError: there is no room for the copy; it is in the folder for temporary files (`TMPDIR`).
    """
    with snapshot(artifact) as held:
        if read and held is not artifact:
            require_listed(held)
        yield held


def require_listed(held: Artifact) -> None:
    """Check that a model reads no file but those that the manifest lists as its own.

    Raises:
        ArtifactError: it does.
    """
    for name in sorted(external_files(read_graph(held.model_path))):
        if name not in held.manifest.files or not is_weights(name):
            raise ArtifactError(
                f"{held.model_path}: keeps weights in {name!r}, which the manifest does not list as a file of the "
                "model; do not use this artifact"
            )
