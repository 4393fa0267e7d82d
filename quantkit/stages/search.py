"""search: a trained checkpoint → smaller ones within limits, priced as INT8 on this machine.

The folder: `search.json` (the report), `search.html`, `shape.png`, and a checkpoint for each candidate, `candidate-N/`;
`chosen/` is the one that was asked for. With `float_blocks` each has a `quantize.yaml`: which of its layers stay float.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.checkpoint import Checkpoint
from quantkit.errors import QuantizationError
from quantkit.files import new_folder
from quantkit.one_blas_thread import one_blas_thread
from quantkit.progress import phases
from quantkit.quantization.observe.kept import forget
from quantkit.recipe.search_settings import SearchSettings
from quantkit.records import Sanity, ShapeSearch
from quantkit.report.live import LivePage
from quantkit.report.shape_files import write_shape_files
from quantkit.runtime.hold import hold
from quantkit.shapes import Found, find
from quantkit.shapes.keep_float import kept_float, write_kept
from quantkit.shapes.materialise import materialise
from quantkit.shapes.phases import expected
from quantkit.shapes.questions import read_questions
from quantkit.shapes.record import report_of
from quantkit.shapes.sanity import difference, divergence, in_order, in_reverse
from quantkit.tasks.heads import require_head

CHOSEN = "chosen"
SAME = 1e-3
"""Largest difference of a logit between the sliced graph and the exported checkpoint."""
Export = Callable[[Path, Path], Artifact]
"""Exports and fuses a checkpoint folder into an artifact folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Where a search is written.

    Attributes:
        path: the folder that is made.
        force: replace what is there.
        live: the page that is written while it runs, and removed when the folder is in place; None: none.
    """

    path: Path
    force: bool = False
    live: LivePage | None = None


def search(
    checkpoint: Checkpoint,
    out: Output,
    *,
    settings: SearchSettings,
    export: Export,
    work: Path,
    data_dir: Path | None = None,
) -> ShapeSearch:
    """Search, and write the candidates as checkpoints.

    Args:
        checkpoint: the teacher.
        out: the folder that is made, and the page until then.
        settings: data, limits, budget.
        export: makes a fused FP32 artifact of a checkpoint.
        work: a temporary folder.
        data_dir: looked into first for data.

    Raises:
        UsageError: nothing is asked, the limits are beyond what can be built, or contradict each other.
        CheckpointError: the family's layers cannot be searched, or the weights are pickles.
        DatasetError: a set is too small, cannot be found, or holds questions of the gate; before anything is exported.
        EvaluationError: an activation or a logit is NaN or infinite.
        QuantizationError: a checkpoint does not compute what its candidate computed.
        OutputError: `out` cannot be written.
    """
    require_head(checkpoint.task, "search")
    live = out.live
    with phases("search", expected(checkpoint.shape, settings)) as phase, _closed(live):
        around: dict[str, float] = {}
        with phase("questions"), _timed(around, "questions"):
            questions = read_questions(checkpoint, settings, data_dir)
        with phase("export", works=2), _timed(around, "export"):
            exported = export(checkpoint.folder, work / "teacher")
        with hold(exported) as teacher, one_blas_thread():
            watch = None if live is None else _Watch(live, teacher, checkpoint, around)
            found = find(teacher, questions, settings, phase=phase, watch=watch)
            with new_folder(out.path, force=out.force) as folder, phase("check", works=6):
                if watch is not None:
                    watch.show(found)
                with _timed(around, "check"):
                    folders = _write(checkpoint, found, folder, in_float=settings.float_blocks)
                    sanity = _checked(checkpoint, found, teacher, folder / CHOSEN, export, work)
                report = report_of(found, teacher, checkpoint, folders=folders, sanity=sanity, around=around)
                write_shape_files(report, folder)
            forget(found.search.trials.bench.observations.key)
    if live is not None:
        live.remove()
    return report


@dataclass(frozen=True, slots=True)
class _Watch:
    """Puts what is found so far on the page."""

    live: LivePage
    teacher: Artifact
    checkpoint: Checkpoint
    around: Mapping[str, float]

    def begin(self) -> None:
        self.live.begin()

    def show(self, found: Found) -> None:
        self.live.write(
            report_of(found, self.teacher, self.checkpoint, folders={}, sanity=None, around=self.around)
        )


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Note how long the block takes."""
    started = time.monotonic()
    yield
    seconds[part] = time.monotonic() - started


@contextmanager
def _closed(live: LivePage | None) -> Iterator[None]:
    """Let the page say so when the block ends with an error, Ctrl-C too."""
    try:
        yield
    except BaseException:
        if live is not None:
            live.close()
        raise


def _write(checkpoint: Checkpoint, found: Found, folder: Path, *, in_float: bool) -> dict[int, str]:
    """Write every candidate's checkpoint, and which blocks stay float where some may; return number → folder."""
    search = found.search
    folders: dict[int, str] = {}
    for number, one in enumerate([search.teacher, *search.candidates]):
        if one is search.teacher:
            continue
        name = CHOSEN if one is found.chosen else f"candidate-{number}"
        (folder / name).mkdir()
        materialise(checkpoint, found.blocks, search.parts(one), folder / name)
        if in_float:
            write_kept(folder / name, kept_float(found, one))
        folders[number] = name
    return folders


def _checked(
    checkpoint: Checkpoint, found: Found, teacher: Artifact, chosen: Path, export: Export, work: Path
) -> Sanity:
    """Return what was checked of the search.

    Raises:
        QuantizationError: the chosen checkpoint does not compute what its candidate computed, or the full widths do not
            compute what the teacher computes.
    """
    trials = found.search.trials
    outputs = trials.exam.outputs
    sliced = trials.bench.narrowed(found.search.parts(found.chosen))
    exported = export(chosen, work / "chosen")
    whole = work / "whole-checkpoint"
    whole.mkdir()
    materialise(checkpoint, found.blocks, {}, whole)
    full = export(whole, work / "whole")
    sanity = Sanity(
        reverse_divergence=divergence(found, in_reverse),
        order_divergence=divergence(found, in_order),
        sliced_difference=difference(trials.exam.job, outputs, sliced, exported.model_path),
        full_difference=difference(trials.exam.job, outputs, teacher.model_path, full.model_path),
    )
    for what, value in (("chosen", sanity.sliced_difference), ("full", sanity.full_difference)):
        if value > SAME:
            raise QuantizationError(
                f"{chosen.parent}: the {what} checkpoint differs from what was searched by {value:.3g}; "
                "this is a bug, please report it"
            )
    return sanity
