"""export, then fuse: what `quantkit export` does, composed above the two stages."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.files import naming, naming_output_errors, require_free
from quantkit.partial import partial_folder
from quantkit.recipe.settings import ExportSettings, FuseSettings
from quantkit.stages.export import export
from quantkit.stages.fuse import fuse


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRequest:
    """What to export, and how."""

    checkpoint: str
    task: str
    export: ExportSettings
    fuse: FuseSettings


def export_and_fuse(request: ExportRequest, out: Path, *, force: bool = False) -> Artifact:
    """Export a checkpoint and fuse the graph; the artifact carries the records of both stages.

    The artifact that is only exported lives in a temporary folder beside `out` and is gone afterwards.

    Raises:
        QuantkitError: as the two stages do.
    """
    if not request.fuse.enabled:
        return export(request.checkpoint, out, task=request.task, settings=request.export, force=force)
    require_free(out, force=force)
    with contextlib.ExitStack() as stack:
        with naming_output_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(partial_folder(out))
        with naming(folder / "exported", out):
            exported = export(
                request.checkpoint, folder / "exported", task=request.task, settings=request.export
            )
        return fuse(exported, out, settings=request.fuse, force=force)
