"""How the engine of a profile is opened. An engine is one file and one line in `quantkit.tables.ENGINES`."""

from pathlib import Path
from typing import Protocol

from quantkit.cluster.cluster import require_ray
from quantkit.errors import UsageError
from quantkit.runtime.engine import Engine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.tables import ENGINES


class OpenEngine(Protocol):
    """Opens a model with an engine; the arguments are those of `open_engine`."""

    def __call__(  # noqa: D102
        self, path: Path, *, outputs: tuple[str, ...], profile: RuntimeProfile, name: str | None
    ) -> Engine: ...


def open_engine(
    path: Path, *, outputs: tuple[str, ...], profile: RuntimeProfile, name: str | None = None
) -> Engine:
    """Open a model the way a profile says; close the engine, or use it in a `with`.

    Args:
        path: the ONNX file.
        outputs: the graph outputs wanted.
        profile: engine, runtime, instances and threads.
        name: what messages call the model when its path is a temporary one; the path otherwise.

    Raises:
        UsageError: there is no such engine or runtime, or its library is not installed.
        ArtifactError: the model cannot be opened.
    """
    require_ray(profile.engine, profile.ray_address)
    if profile.engine not in ENGINES:
        raise UsageError(
            f"engine {profile.engine}: there is no such engine here; choose {' or '.join(ENGINES)}"
        )
    opened: OpenEngine = ENGINES.load(profile.engine)
    return opened(path, outputs=outputs, profile=profile, name=name)
