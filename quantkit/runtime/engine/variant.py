"""What engines do with a profile alike: which graph they open, where its files go, whether they bind to cores.

The graph is the model as it is, or its variant for batches of equal lengths.

`RuntimeProfile.equal_lengths` promises that no batch is padded. The promise is kept by `RuntimeProfile.batches`, and
checked in `submit` for every batch: attention without a mask would read padding as text, and nobody would notice.
"""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from quantkit.errors import EvaluationError, OutputError
from quantkit.runtime.engine.engine import Feeds, describe
from quantkit.runtime.mask_free import write_mask_free
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.session import ATTENTION_MASK

_LOG = logging.getLogger(__name__)


def can_pin(profile: RuntimeProfile) -> bool:
    """Return whether instances are to be bound to cores; where the system cannot, warn."""
    able = hasattr(os, "sched_setaffinity")
    if profile.pinned and not able:
        _LOG.warning("this system does not bind instances to cores; they run on any")
    return profile.pinned and able


def write_variant(path: Path, folder: Path) -> Path:
    """Write the variant without a mask into a new folder inside `folder`, and return the file.

    Raises:
        ArtifactError: the mask does more than hide keys from attention.
        OutputError: it cannot be written.
    """
    return write_mask_free(path.resolve(), folder / "equal-lengths")


def check_full(name: str, feeds: Feeds) -> None:
    """Check that a batch has no padding.

    Raises:
        EvaluationError: it has.
    """
    if not feeds[ATTENTION_MASK].all():
        raise EvaluationError(
            f"{name}: {describe(feeds)} holds padding, and the model was opened for equal lengths; "
            "cut the batches with the profile's own `batches`"
        )


@contextlib.contextmanager
def engine_folder() -> Iterator[Path]:
    """Yield a new temporary folder, which goes only when the block fails: the engine takes it away in the end.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="quantkit-engine-"))
    except OSError as error:
        raise OutputError(
            f"{tempfile.gettempdir()}: cannot write there ({error.strerror}); choose another place with TMPDIR"
        ) from error
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def opened_path(path: Path, profile: RuntimeProfile, folder: Path) -> Path:
    """Return the file to open for a profile; what has to be written for it goes into `folder`."""
    return write_variant(path, folder) if profile.equal_lengths else path
