"""quantkit distill: a smaller checkpoint learns to answer as the one that it was made from."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show

if TYPE_CHECKING:
    from quantkit.records import DistillReport


@click.command("distill")
@options.argument("STUDENT", kind=options.CHECKPOINT)
@click.option(
    "--teacher",
    type=options.CHECKPOINT,
    metavar="CHECKPOINT",
    required=True,
    help="The checkpoint that the student was made from.",
)
@options.settings("DistillSettings")
@options.settings("Recipe", only=("task",))
@options.output_options
@options.data_dir_option
def command(
    *, student: str, teacher: str, given: options.Given, output: options.Output, data_dir: Path | None
) -> None:
    """Let a smaller checkpoint learn to answer as its teacher does.

    First each block that differs from the teacher's learns alone to give what that one gives, then the whole learns
    the teacher's answers and hidden states. A training that was stopped goes on where it was when the same command
    is given again.
    """
    from quantkit.metrics.of_tasks import metric_of
    from quantkit.recipe.distill_settings import DistillSettings
    from quantkit.recipe.places import checkpoint_named
    from quantkit.recipe.settings import Recipe
    from quantkit.stages.distill import Family, distill

    settings = given.build(DistillSettings)
    family = Family(
        student=checkpoint_named(student), teacher=checkpoint_named(teacher), task=given.one(Recipe, "task")
    )
    with show.working():
        report = distill(family, output.path, settings=settings, data_dir=data_dir, force=output.force)
    if output.as_json:
        show.print_json(report.as_json())
    else:
        _print(report, output.path, metric_of(family.task).name)


def _print(report: "DistillReport", out: Path, metric: str) -> None:
    """Print what was learned, and what it cost."""
    # With --keep last these are not the best.
    kept = next(found for found in report.evaluations if found.step == report.best_step)
    first, teacher = report.evaluations[0], report.teacher_score
    asked = f"{report.selection_questions:,} selection questions"
    facts = [
        ("checkpoint", str(out)),
        (metric, f"{first.f1:.2f} before, {kept.f1:.2f} after, teacher {teacher.f1:.2f}, on {asked}"),
        (
            f"expected {metric}",
            f"{first.expected_f1:.2f} before, {kept.expected_f1:.2f} after, teacher {teacher.expected_f1:.2f}",
        ),
        (
            "steps",
            f"{report.block_steps:,} by block, {report.whole_steps:,} as a whole; kept are those of step "
            f"{report.best_step:,} ({report.ended})",
        ),
        ("blocks", f"{len(report.blocks)} differ from the teacher's"),
        ("data", f"{report.questions:,} questions, {report.rows:,} rows, {report.epochs:.2f} epochs"),
        ("losses", ", ".join(f"{name} {value:.4g}" for name, value in report.losses.items())),
        (
            "speed",
            f"{report.rows_per_second:.1f} rows/s, {report.tokens_per_second:,.0f} tokens/s, {report.precision} on "
            f"{report.device}, {report.threads} threads",
        ),
        ("cost", f"{report.seconds:.0f} s, {show.megabytes(report.peak_memory_bytes)} peak memory"),
    ]
    show.print_facts("", facts)
