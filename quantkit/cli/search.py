"""quantkit search: a checkpoint becomes smaller ones, within limits."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("search")
@options.argument("CHECKPOINT", kind=options.CHECKPOINT)
@options.settings("Recipe", only=("task",))
@options.settings("SearchSettings")
@options.data_dir_option
@click.option(
    "--live",
    type=options.FILE,
    help="Page of the search while it runs, removed when it is done.  [default: OUTPUT.live.html]",
)
@options.output_options
def command(
    *,
    checkpoint: str,
    given: options.Given,
    data_dir: Path | None,
    live: Path | None,
    output: options.Output,
) -> None:
    """Search smaller architectures of a checkpoint.

    Each layer keeps its own number of attention heads and width of the feed-forward network, or goes without. What
    stays is chosen by an integer program from the damage that each block does to the answers, and from what it costs
    as INT8 on this machine. The candidates are checkpoints, good before any training; `quantkit distill` trains them.
    """
    from quantkit.pipeline.searching import search_checkpoint
    from quantkit.recipe.places import checkpoint_named
    from quantkit.recipe.search_settings import SearchSettings
    from quantkit.recipe.settings import Recipe
    from quantkit.report.live import LivePage

    settings = given.build(SearchSettings)
    page = live or Path(f"{output.path}.live.html")
    with show.working():
        report = search_checkpoint(
            checkpoint_named(checkpoint),
            output.path,
            task=given.one(Recipe, "task"),
            settings=settings,
            data_dir=data_dir,
            force=output.force,
            live=LivePage(page, show.say),
        )
    if output.as_json:
        show.print_json(report.as_json())
        return
    show.print_shapes(report)
