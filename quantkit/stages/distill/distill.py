"""The stage.

The same student, teacher, data, settings, tools, instruction sets and number of threads give the same weights, also
when the training is stopped and goes on: until it is done it is kept in the cache, under the key of all these but the
threads.
"""

from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact.ingredients import UNKNOWN, Ingredients
from quantkit.artifact.measure import measuring, tool_versions
from quantkit.checkpoint import checkpoint_digest, read_checkpoint, require_torch
from quantkit.distillation.pair import pair_up
from quantkit.errors import TrainingError, UsageError
from quantkit.files import digest_of, require_free
from quantkit.recipe.distill_settings import DistillSettings
from quantkit.recipe.marks import in_key
from quantkit.records import DistillReport
from quantkit.runtime.cpu import cpu_facts
from quantkit.stages.distill.questions import choose_questions
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.heads import require_head

_TOOLS = ("torch", "transformers", "numpy", "tokenizers", "safetensors")


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A student and its teacher, each a folder or a Hugging Face id, and the task that they are for."""

    student: str
    teacher: str
    task: str


def ingredients(family: Family, settings: DistillSettings, data: DataPlaces) -> Ingredients:
    """Return all that decides what `distill` makes: both checkpoints, data, settings, tools, instruction sets.

    Offline, what a checkpoint that is no folder here holds is not known.

    Raises:
        CheckpointError: there is no such checkpoint, or its weights are missing.
        DatasetError: there is no such data.
    """
    return Ingredients(
        inputs={
            "student": _digest(family.student, data),
            "teacher": _digest(family.teacher, data),
            "cpu": digest_of(cpu_facts().kernels_json()),
            **data.digests(settings),
        },
        settings={"task": family.task, **in_key(settings)},
        tools=tool_versions(*_TOOLS),
    )


def _digest(checkpoint: str, data: DataPlaces) -> str:
    elsewhere = data.offline and not Path(checkpoint).expanduser().is_dir()
    return UNKNOWN if elsewhere else checkpoint_digest(checkpoint)


def distill(
    family: Family,
    out: Path,
    *,
    settings: DistillSettings,
    data_dir: Path | None = None,
    force: bool = False,
) -> DistillReport:
    """Let a student learn from its teacher, and write what it has become.

    Args:
        family: student, teacher and task.
        out: the folder of the new checkpoint.
        settings: data, and how the student learns.
        data_dir: looked into first for data.
        force: replace what is at `out`.

    Raises:
        CheckpointError: a checkpoint cannot be used, or the student is not of this teacher.
        DatasetError: data cannot be found, or holds questions of the gate.
        EvaluationError: logits are NaN before anything was learned.
        OutputError: `out` or the cache cannot be written.
        TrainingError: a loss became NaN; `out` has the best weights before.
        UsageError: settings that cannot be, torch is not installed, or the same training is at work.
    """
    with measuring():
        require_free(out, force=force)
        _require_a_loss(settings)
        require_head(family.task, "distill")
        pair = pair_up(
            read_checkpoint(family.student, task=family.task),
            read_checkpoint(family.teacher, task=family.task),
            settings.layers,
        )
        questions = choose_questions(settings, family.task, data_dir)
        made_of = ingredients(family, settings, DataPlaces(data_dir=data_dir))
        require_torch()
        from quantkit.stages.distill.learned import learn

        report = learn(pair, questions, settings, made_of, out, force=force)
    if report.ended == "nan":
        raise TrainingError(
            f"{out}: the loss became NaN or Infinity after step {report.steps_done} of "
            f"{report.block_steps + report.whole_steps}; the folder has the best weights before, of step "
            f"{report.best_step}: lower --learning-rate, or give --precision float32"
        )
    return report


def _require_a_loss(settings: DistillSettings) -> None:
    weights = (
        settings.logits_weight,
        settings.hidden_weight,
        settings.relation_weight,
        settings.label_weight,
    )
    if not any(weights):
        raise UsageError(
            "--logits-weight, --hidden-weight, --relation-weight and --label-weight are all 0, so nothing can be "
            "learned; give one of them"
        )
