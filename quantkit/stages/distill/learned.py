"""From checked checkpoints and questions to the folder of what was learned. Needs torch."""

import shutil
from pathlib import Path
from typing import Any

from quantkit.artifact.artifact import COMPANIONS
from quantkit.artifact.ingredients import Ingredients
from quantkit.artifact.measure import peak_memory
from quantkit.checkpoint.load import load_model, quiet_transformers
from quantkit.checkpoint.student import RECORD, SHAPE_RECORD
from quantkit.distillation.encoder import Encoder
from quantkit.distillation.judge import Judge
from quantkit.distillation.lesson import Lesson
from quantkit.distillation.pair import Pair
from quantkit.distillation.place import Place, choose_place
from quantkit.distillation.rows import read_rows
from quantkit.distillation.state import TrainingFolder
from quantkit.distillation.training import Learned, train
from quantkit.files import new_folder, write_json
from quantkit.recipe.distill_settings import DistillSettings
from quantkit.records import DistillReport
from quantkit.runtime.cpu import cpu_facts
from quantkit.stages.distill.questions import Questions
from quantkit.tasks import task as task_named
from quantkit.tasks.lengths import fit
from quantkit.tasks.tokenizer import Tokenizer


def learn(
    pair: Pair,
    questions: Questions,
    settings: DistillSettings,
    made_of: Ingredients,
    out: Path,
    *,
    force: bool,
) -> DistillReport:
    """Train, write the folder, and return its record.

    Raises:
        UsageError: there is no GPU where one was asked for, the budget is too small, or the same training is at work.
        OutputError: something cannot be written.
    """
    folder = TrainingFolder(made_of.key("distill"))
    with folder.held():
        place = choose_place(settings.device, settings.precision, cpu_facts().instruction_sets or ())
        lesson = _lesson(pair, questions, settings, folder, place)
        learned = train(lesson, settings.threads or cpu_facts().cores)
        report = _report(lesson, learned, questions, made_of, place)
        with new_folder(out, force=force) as new:
            for name in (*COMPANIONS, SHAPE_RECORD):
                if (pair.student.folder / name).is_file():
                    shutil.copyfile(pair.student.folder / name, new / name)
            with quiet_transformers():
                lesson.student.model.save_pretrained(new)
            write_json(new / RECORD, report.as_json())
        folder.remove()
    return report


def _lesson(
    pair: Pair, questions: Questions, settings: DistillSettings, folder: TrainingFolder, place: Place
) -> Lesson:
    of_task = task_named(pair.student.task)
    tokenizer = Tokenizer.load(pair.student.folder)
    asked = {} if settings.max_length is None else {"max_length": settings.max_length}
    lengths = fit(of_task, tokenizer, asked)
    rows = read_rows(questions.training, of_task, tokenizer, lengths, labelled=settings.label_weight > 0)
    student, teacher = (
        Encoder(
            model=load_model(checkpoint)[0].to(place.device),
            checkpoint=checkpoint,
            device=place.device,
            dtype=place.dtype,
        )
        for checkpoint in (pair.student, pair.teacher)
    )
    return Lesson(
        pair=pair,
        student=student,
        teacher=teacher,
        rows=rows,
        judge=Judge(questions.selection, of_task, tokenizer, lengths),
        settings=settings,
        folder=folder,
    )


def _report(
    lesson: Lesson, learned: Learned, questions: Questions, made_of: Ingredients, place: Place
) -> DistillReport:
    progress = learned.progress
    trained = max(progress.trained_seconds, 1e-9)
    return DistillReport(
        student=lesson.pair.student.digest,
        teacher=lesson.pair.teacher.digest,
        task=lesson.pair.student.task,
        layers=lesson.pair.layers,
        blocks=tuple(block.name for block in learned.blocks),
        data={dataset.name: dataset.digest for dataset in questions.training},
        questions=sum(len(dataset.questions) for dataset in questions.training),
        rows=len(lesson.rows.windows),
        selection_questions=lesson.judge.questions,
        block_steps=progress.blocks,
        whole_steps=progress.whole,
        steps_done=progress.step,
        epochs=learned.epochs,
        ended=learned.ended,
        best_step=progress.best.step,
        teacher_score=progress.teacher,
        evaluations=progress.evaluated,
        losses=progress.last_losses,
        seconds=round(progress.seconds, 3),
        rows_per_second=progress.rows / trained,
        tokens_per_second=progress.tokens / trained,
        speeds=progress.speeds,
        precision=str(place.dtype).removeprefix("torch."),
        device=place.device.type,
        threads=progress.threads,
        peak_memory_bytes=peak_memory(),
        settings=_without_places(lesson.settings),
        tools=made_of.tools,
        cpu=dict(cpu_facts().as_json()),
    )


def _without_places(settings: DistillSettings) -> dict[str, Any]:
    """Return the settings less where things were on this machine: their digests stand in the record."""
    return settings.model_dump(mode="json", exclude={"data", "select", "gate_data"})
