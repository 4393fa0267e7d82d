"""quantkit search: a checkpoint becomes smaller ones, within limits."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("search")
@options.argument("CHECKPOINT", kind=options.CHECKPOINT)
@options.settings("Recipe", only=("task",))
@options.settings("SearchSettings")
@options.data_dir_option
@options.output_options
def command(*, checkpoint: str, given: options.Given, data_dir: Path | None, output: options.Output) -> None:
    """Search smaller architectures of a checkpoint.

    Each layer keeps its own number of attention heads and width of the feed-forward network, or goes without. What
    stays is chosen by an integer program from the damage that each block does to the answers, and from what it costs
    as INT8 on this machine. The candidates are checkpoints, good before any training; `quantkit distill` trains them.
    """
    from quantkit.pipeline.searching import search_checkpoint
    from quantkit.recipe.places import checkpoint_named
    from quantkit.recipe.search_settings import SearchSettings
    from quantkit.recipe.settings import Recipe

    settings = given.build(SearchSettings)
    with show.working():
        report = search_checkpoint(
            checkpoint_named(checkpoint),
            output.path,
            task=given.one(Recipe, "task"),
            settings=settings,
            data_dir=data_dir,
            force=output.force,
        )
    if output.as_json:
        show.print_json(report.as_json())
        return
    show.print_shapes(report)
