"""quantkit sensitivity: which groups of layers suffer from INT8, and how much."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show

if TYPE_CHECKING:
    from quantkit.artifact import Artifact
    from quantkit.records import Sensitivity


@click.command("sensitivity")
@options.argument("ARTIFACT")
@options.settings("SensitivitySettings")
@click.option("--plot", type=options.FILE, help="Draw the figure into this PNG instead of the artifact's.")
@options.data_dir_option
@options.json_option
def command(
    *, artifact: str, given: options.Given, plot: Path | None, data_dir: Path | None, as_json: bool
) -> None:
    """Measure how much each group of layers suffers from INT8.

    One group after the other is quantized while the rest stays FP32; its damage is how far the answers'
    distributions move, in nats. The report and its figure stay in the artifact's reports.
    """
    if plot is not None:
        from quantkit.report.drawing import require_matplotlib

        require_matplotlib()
    from quantkit.artifact import Artifact
    from quantkit.recipe.settings import SensitivitySettings
    from quantkit.stages.sensitivity import sensitivity

    settings = given.build(SensitivitySettings)
    opened = Artifact.open(artifact)
    with show.working():
        report = sensitivity(opened, settings=settings, data_dir=data_dir)
        opened.keep_report("sensitivity.json", report.as_json())
        drawn = _draw(opened, report, plot)
    if as_json:
        show.print_json(report.as_json())
        return
    show.print_sensitivity(report)
    show.say(drawn)


def _draw(artifact: "Artifact", report: "Sensitivity", plot: Path | None) -> str:
    """Draw the figure and say where it is, or why there is none."""
    from quantkit.errors import UsageError
    from quantkit.report import figures

    if plot is not None:
        figures.sensitivity(report, plot)
        return f"figure: {plot}"
    try:
        content = figures.sensitivity_png(report)
    except UsageError as error:
        return f"no figure: {error}"
    if artifact.keep_report("sensitivity.png", content):
        return f"figure: {artifact.report_path('sensitivity.png')}"
    return "no figure: the artifact's reports stay as they are; choose another place with --plot"
