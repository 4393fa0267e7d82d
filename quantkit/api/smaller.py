"""What makes smaller checkpoints: a search for their shape, and the training that follows."""

from pathlib import Path
from typing import Unpack

from quantkit.api.keywords import DistillKeywords, SearchKeywords
from quantkit.api.making import Place
from quantkit.api.settings import build
from quantkit.pipeline.searching import search_checkpoint
from quantkit.recipe.distill_settings import DistillSettings
from quantkit.recipe.places import checkpoint_named
from quantkit.recipe.search_settings import SearchSettings
from quantkit.records import DistillReport, ShapeSearch
from quantkit.stages.distill import Family
from quantkit.stages.distill import distill as distill_stage


def search(
    checkpoint: Place,
    output: Place,
    *,
    task: str = "squad",
    data_dir: Place | None = None,
    force: bool = False,
    **settings: Unpack[SearchKeywords],
) -> ShapeSearch:
    """Search smaller shapes of a checkpoint; needs torch and transformers.

    A search that found nothing within its limits is no error: `report.met` tells, and the result is the nearest.

    Args:
        checkpoint: the teacher: a folder, a Hugging Face id, or `quickstart`.
        output: the folder of the report, of `chosen`, the checkpoint that was asked for, and of the other candidates.
        task: what the model does.
        data_dir: looked into first for data.
        force: replace what is there.
        **settings: of `quantkit search` (`SearchSettings`): `data`, `min_throughput`, `candidates`, `budget`, …

    Raises:
        UsageError: a keyword does not exist or fit, nothing is asked, or limits contradict each other.
        CheckpointError: the family's layers cannot be searched, or the weights are pickles.
        DatasetError: a set is too small, cannot be found, or holds questions of the gate.
        OutputError: the folder is there, or cannot be written.
    """
    return search_checkpoint(
        checkpoint_named(str(checkpoint)),
        Path(output),
        task=task,
        settings=build(SearchSettings, settings, function="search"),
        data_dir=None if data_dir is None else Path(data_dir),
        force=force,
    )


def distill(
    student: Place,
    output: Place,
    *,
    teacher: Place,
    task: str = "squad",
    data_dir: Place | None = None,
    force: bool = False,
    **settings: Unpack[DistillKeywords],
) -> DistillReport:
    """Let a smaller checkpoint learn to answer as its teacher does; needs torch and transformers.

    A training that was stopped goes on where it was when the same call is made again.

    Args:
        student: such as `chosen` in the folder of a search.
        output: the folder of the trained checkpoint.
        teacher: the checkpoint that the student was made from.
        task: what the model does.
        data_dir: looked into first for data.
        force: replace what is there.
        **settings: of `quantkit distill` (`DistillSettings`): `data`, `budget`, `steps`, …

    Raises:
        UsageError: a keyword does not exist or fit, or the two are no student and teacher.
        CheckpointError: one of them cannot be read.
        DatasetError: data cannot be found or read, or holds questions of the gate.
        TrainingError: a loss became NaN or Infinity.
        OutputError: the folder is there, or cannot be written.
    """
    family = Family(student=checkpoint_named(str(student)), teacher=checkpoint_named(str(teacher)), task=task)
    return distill_stage(
        family,
        Path(output),
        settings=build(DistillSettings, settings, function="distill"),
        data_dir=None if data_dir is None else Path(data_dir),
        force=force,
    )
