"""search: the stage with what exports its checkpoints, composed above the stages."""

import contextlib
from pathlib import Path

from quantkit.artifact import Artifact, Ingredients
from quantkit.artifact.measure import tool_versions
from quantkit.checkpoint import read_checkpoint
from quantkit.engines import seats
from quantkit.errors import UsageError
from quantkit.files import digest_of, naming_output_errors, require_free
from quantkit.partial import partial_folder
from quantkit.pipeline.fusing import ExportRequest, export_and_fuse
from quantkit.recipe.marks import in_key
from quantkit.recipe.search_settings import SearchSettings
from quantkit.recipe.settings import ExportSettings, FuseSettings
from quantkit.records import ShapeSearch
from quantkit.report.live import LivePage
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.where import Where
from quantkit.shapes.blocks import require_searchable
from quantkit.shapes.goal import asked_of
from quantkit.stages.export import Source
from quantkit.stages.export import ingredients as export_ingredients
from quantkit.stages.search import SAME, Output, search
from quantkit.tasks.data_places import DataPlaces

_TOOLS = ("torch", "transformers", "onnxruntime", "onnx", "onnx-ir", "numpy", "scipy", "safetensors")


def ingredients(name: str, settings: SearchSettings, data: DataPlaces, *, task: str) -> Ingredients:
    """Return all that decides what a search finds: the teacher, data, settings, tools, and the CPU that it is for.

    Raises:
        CheckpointError: there is no such checkpoint, or its weights are missing.
        DatasetError: there is no such data.
    """
    teacher = export_ingredients(Source(checkpoint=name, task=task), ExportSettings(), data)
    return Ingredients(
        inputs={
            "teacher": teacher.inputs["checkpoint"],
            "cpu": digest_of(cpu_facts().kernels_json()),
            **data.digests(settings),
        },
        settings={"task": task, **in_key(settings)},
        tools=tool_versions(*_TOOLS),
    )


def search_checkpoint(
    name: str,
    out: Path,
    *,
    task: str,
    settings: SearchSettings,
    data_dir: Path | None = None,
    force: bool = False,
    live: LivePage | None = None,
) -> ShapeSearch:
    """Search smaller checkpoints of a teacher; see `quantkit.stages.search`.

    Raises:
        UsageError: rows that are timed are longer than the model takes, or the page that is written meanwhile, `live`,
            would be in the folder that is made at the end.
        QuantkitError: as export, fuse and the stage do.
    """
    require_free(out, force=force)
    if live is not None and live.path.resolve().is_relative_to(out.resolve()):
        raise UsageError(
            f"--live {live.path}: is in the output folder, which is made when the search is done; name a file beside it"
        )
    asked_of(settings)
    # No cluster is an error before minutes of work, and not behind them.
    seats(Where.of(settings))
    checkpoint = read_checkpoint(name, task=task)
    require_searchable(checkpoint.architecture.model_type, str(checkpoint.folder / "config.json"))
    if settings.tokens is not None and settings.tokens > checkpoint.max_positions:
        raise UsageError(
            f"--tokens {settings.tokens}: the model takes rows of {checkpoint.max_positions} tokens at most; give so "
            "many or fewer"
        )

    def export(folder: Path, made: Path) -> Artifact:
        # By how much a candidate may differ is the search's to say.
        lengths = ExportSettings(**settings.asked(), atol=SAME)
        asked = ExportRequest(checkpoint=str(folder), task=task, export=lengths, fuse=FuseSettings())
        return export_and_fuse(asked, made)

    with contextlib.ExitStack() as stack:
        with naming_output_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            work = stack.enter_context(partial_folder(out))
        return search(
            checkpoint,
            Output(path=out, force=force, live=live),
            settings=settings,
            export=export,
            work=work,
            data_dir=data_dir,
        )
