"""quantkit run: a recipe from its checkpoint to the registry."""

from dataclasses import dataclass
from pathlib import Path

import click

from quantkit.cli import options, show


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What is otherwise than the recipe says."""

    checkpoint: str | None
    assignments: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class How:
    """How the recipe is run.

    Attributes:
        work: folder of the run; None for one named after the recipe.
        dry_run: say what would be done, and do nothing.
        force: do every step, also those that have not changed.
        allow_code: run the function that the recipe names as its metric.
    """

    work: Path | None
    dry_run: bool
    force: bool
    allow_code: bool


@click.command("run")
@click.argument("recipe", metavar="RECIPE", type=options.RECIPE)
@options.grouped(
    "changes",
    Changes,
    click.option(
        "-m",
        "--checkpoint",
        "--model",
        "checkpoint",
        type=options.CHECKPOINT,
        help="Checkpoint folder or Hugging Face id to use instead.",
    ),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="SECTION.KEY=VALUE",
        help="Override a key of the recipe (repeatable), such as quantize.mode=dynamic; the value is YAML.",
    ),
)
@options.grouped(
    "how",
    How,
    click.option(
        "--work", type=options.FOLDER, help="Folder of the run.  [default: runs/<name of the recipe>]"
    ),
    click.option("--dry-run", is_flag=True, help="Show which steps would run, and why; write nothing."),
    click.option("--force", is_flag=True, help="Do every step again, also those that have not changed."),
    options.allow_code_option,
)
@options.data_dir_option
@options.json_option
def command(*, recipe: str, changes: Changes, how: How, data_dir: Path | None, as_json: bool) -> int:
    """Run a recipe: checkpoint to published INT8 artifact.

    RECIPE is a YAML file, or the name of a recipe that ships with quantkit. A run that was stopped goes on
    where it was; steps that are finished and have not changed are kept. When the gate does not pass, nothing
    is published and the exit code is 3 (failed) or 4 (inconclusive).
    """
    from quantkit.pipeline.run import plan, run
    from quantkit.recipe.load import load_recipe, parse_overrides

    overrides = parse_overrides(changes.assignments)
    if changes.checkpoint is not None:
        overrides["checkpoint"] = changes.checkpoint
    wanted = load_recipe(recipe, overrides)
    folder = how.work or Path("runs") / wanted.name
    if how.dry_run:
        planned = plan(wanted, work=folder, data_dir=data_dir, force=how.force)
        if as_json:
            show.print_json(planned.as_json())
        else:
            rows = [(step.step, step.action, step.why) for step in planned.steps]
            show.print_table(f"{planned.recipe} in {planned.work}", ("step", "would", "why"), rows)
        return 0
    with show.working():
        report = run(
            wanted,
            work=folder,
            data_dir=data_dir,
            force=how.force,
            allow_code=how.allow_code,
            announce=show.say,
        )
    if as_json:
        show.print_json(report.as_json())
    else:
        from quantkit.cli.run_table import print_run

        print_run(report)
    return report.exit_code
