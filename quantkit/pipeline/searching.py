"""search: the stage with what exports its checkpoints, composed above the stages."""

from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.checkpoint import read_checkpoint, require_torch
from quantkit.files import naming_output_errors, require_free
from quantkit.partial import partial_folder
from quantkit.pipeline.fusing import ExportRequest, export_and_fuse
from quantkit.recipe.search_settings import SearchSettings
from quantkit.recipe.settings import ExportSettings, FuseSettings
from quantkit.records import ShapeSearch
from quantkit.shapes.blocks import require_searchable
from quantkit.shapes.goal import asked_of
from quantkit.stages.search import search


def search_checkpoint(
    name: str,
    out: Path,
    *,
    task: str,
    settings: SearchSettings,
    data_dir: Path | None = None,
    force: bool = False,
) -> ShapeSearch:
    """Search smaller checkpoints of a teacher; see `quantkit.stages.search`.

    Raises:
        QuantkitError: as export, fuse and the stage do.
    """
    require_free(out, force=force)
    asked_of(settings)
    checkpoint = read_checkpoint(name, task=task)
    require_searchable(checkpoint.architecture.model_type, str(checkpoint.folder / "config.json"))
    require_torch()

    def export(folder: Path, made: Path) -> Artifact:
        lengths = ExportSettings(**settings.asked())
        asked = ExportRequest(checkpoint=str(folder), task=task, export=lengths, fuse=FuseSettings())
        return export_and_fuse(asked, made)

    with naming_output_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with partial_folder(out) as work:
        return search(
            checkpoint, out, settings=settings, export=export, work=work, data_dir=data_dir, force=force
        )
