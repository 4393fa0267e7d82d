"""Questions: three sets that have none in common, for moments, for damage, and to judge candidates on.

They are read, and cut as the teacher reads them, before anything is exported: what is wrong with them is told at once.
"""

from dataclasses import dataclass
from pathlib import Path

from quantkit.checkpoint import Checkpoint
from quantkit.errors import DatasetError, UsageError
from quantkit.exam.overlap import gate_questions, require_not_the_gates
from quantkit.exam.selection import SelectionRequest, select_questions
from quantkit.quantization.observe import Advice, require_moments, require_text
from quantkit.recipe.search_settings import SearchSettings
from quantkit.tasks import Dataset, task
from quantkit.tasks.calibration_set import CalibrationSet, select
from quantkit.tasks.lengths import fit
from quantkit.tasks.prepared import Reader
from quantkit.tasks.tokenizer import Tokenizer

_ADVICE = Advice(
    text="give questions and paragraphs with text as --data",
    tokens="which the order of units comes from; ask for more with --data-questions",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """Three sets of questions that have none in common: for moments, for damage, and to judge candidates on."""

    observed: CalibrationSet
    damage: Dataset
    selection: Dataset


def read_questions(teacher: Checkpoint, settings: SearchSettings, data_dir: Path | None) -> Questions:
    """Return the three sets, all of which the teacher can read.

    Raises:
        UsageError: no data is named, or a length of the settings does not fit the teacher.
        DatasetError: there are not enough questions, some are the gate's, those for moments hold no text or too few
            tokens, or a label is none of the teacher's.
        CheckpointError: its tokenizer cannot be read.
    """
    questions = questions_of(teacher.task, settings, data_dir)
    of_task, tokenizer = task(teacher.task), Tokenizer.load(teacher.folder)
    reader = Reader(task=of_task, tokenizer=tokenizer, settings=fit(of_task, tokenizer, settings.asked()))
    rows = reader.prepare(questions.observed.dataset).rows
    require_text(questions.observed, rows, tokenizer.special_ids, advice=_ADVICE)
    require_moments(questions.observed, rows, _widest(teacher), advice=_ADVICE)
    for judged_on in (questions.damage, questions.selection):
        reader.prepare(judged_on)
    return questions


def _widest(teacher: Checkpoint) -> int:
    """Return how many channels the widest linear layer reads."""
    return max(
        (
            max(layer.hidden, layer.heads * layer.head_size, layer.feed_forward)
            for layer in teacher.shape.layers
        ),
        default=0,
    )


def questions_of(task: str, settings: SearchSettings, data_dir: Path | None) -> Questions:
    """Return the three sets.

    Raises:
        UsageError: no data is named.
        DatasetError: there are not enough questions, or some are the gate's.
    """
    if settings.data is None:
        raise UsageError(
            "--data: is missing; give questions that the gate does not use, such as squad-train or a file"
        )
    wanted = settings.data_questions + settings.damage_questions
    both = select(settings.data, task, None, data_dir, settings.seed, at_most=wanted)
    if len(both.ids) < wanted:
        raise DatasetError(
            f"{settings.data}: has {len(both.ids)} questions, and {wanted} are asked for: {settings.data_questions} "
            f"with --data-questions, {settings.damage_questions} with --damage-questions; give more, or ask for fewer"
        )
    require_not_the_gates(
        both.dataset.questions,
        gate_questions(task, settings.gate_data, data_dir, what="data"),
        source=settings.data,
        what="questions",
        advice="choose others with --data, or name the gate's with --gate-data",
    )
    asked = SelectionRequest(
        task=task,
        calib=settings.data,
        select=settings.select,
        questions=settings.select_questions,
        gate_data=settings.gate_data,
        seed=settings.seed,
    )
    cut = settings.data_questions
    return Questions(
        observed=CalibrationSet(
            name=both.name, dataset=both.dataset.only(list(both.ids[:cut])), source_digest=both.source_digest
        ),
        damage=both.dataset.only(list(both.ids[cut:])),
        selection=select_questions(asked, both, data_dir),
    )
