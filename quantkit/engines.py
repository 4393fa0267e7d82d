"""How a profile's engine is opened. An engine is one file and one line in `quantkit.tables.ENGINES`.

Who opens an engine decides which graph it opens: the model as it is, or its variant for batches of equal lengths.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from quantkit.cluster.cluster import cluster_seats
from quantkit.errors import OutputError, UsageError
from quantkit.graph.mask_free import write_mask_free
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import Engine, Model
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.sessions import Reduction
from quantkit.runtime.where import Where
from quantkit.tables import ENGINES

OpenEngine = Callable[[Model], Engine]


def open_engine(
    path: Path,
    *,
    outputs: tuple[str, ...],
    profile: RuntimeProfile,
    name: str | None = None,
    reduction: Reduction | None = None,
) -> Engine:
    """Open a model the way a profile says; close the engine, or use it in a `with`.

    Args:
        path: the ONNX file.
        outputs: the graph outputs wanted.
        profile: engine, runtime, instances and threads.
        name: what messages call the model when its path is a temporary one; the path otherwise.
        reduction: runs behind every batch, where that ran; its answer comes in place of the outputs.

    Raises:
        UsageError: there is no such engine or runtime, or its library is not installed.
        ArtifactError: the model cannot be opened.
    """
    engine = profile.where.engine
    if engine not in ENGINES:
        raise UsageError(f"engine {engine}: there is no such engine here; choose {' or '.join(ENGINES)}")
    with _folder() as folder:
        variant = profile.equal_lengths
        opened: OpenEngine = ENGINES.load(engine)
        return opened(
            Model(
                path=write_mask_free(path.resolve(), folder / "equal-lengths") if variant else path,
                outputs=outputs,
                profile=profile,
                folder=folder,
                name=name or str(path),
                reduction=reduction,
            )
        )


def seats(where: Where) -> int:
    """Return how many one-thread instances there are cores for.

    Raises:
        UsageError: there is no cluster, or no room for one.
    """
    return cluster_seats(where.address) if where.engine == "ray" else cpu_facts().cores


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
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
