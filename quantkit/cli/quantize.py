"""quantkit quantize: a fused artifact becomes an INT8 one."""

from dataclasses import dataclass
from pathlib import Path

import click

from quantkit.cli import options, show
from quantkit.errors import FAILED, PASSED, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Files of settings.

    Attributes:
        config: is read; options win over it.
        save_config: is written.
    """

    config: Path | None
    save_config: Path | None


@click.command("quantize")
@options.argument("ARTIFACT")
@options.settings("QuantizeSettings")
@options.grouped(
    "files",
    Files,
    click.option("--config", type=options.FILE, help="YAML file with these settings; options win over it."),
    click.option(
        "--save-config", type=options.FILE, help="Write the settings that are used to this YAML file."
    ),
)
@options.data_dir_option
@options.output_options
def command(
    *, artifact: str, given: options.Given, files: Files, data_dir: Path | None, output: options.Output
) -> int:
    """Quantize a fused artifact to INT8.

    After quantizing, the model is loaded and the kernels that really run are read back. With --mode auto every
    group of layers gets the fastest choice with which the whole keeps the target; the search, its page and the
    recipe stay in the artifact's reports. Exit code 3: the target was missed, and this is the best that was found.
    """
    from quantkit.artifact import Artifact
    from quantkit.files import write_text
    from quantkit.recipe.load import dump_section, load_section
    from quantkit.recipe.settings import QuantizeSettings
    from quantkit.records import SearchReport
    from quantkit.report.search_files import REPORT
    from quantkit.stages.quantize import quantize

    under = load_section(files.config, "quantize", QuantizeSettings) if files.config else {}
    settings = given.build(QuantizeSettings, under=under)
    if settings.mode != "auto":
        _refuse_search(settings.mode, given.options(QuantizeSettings, "auto"))
    with show.working():
        quantized = quantize(
            Artifact.open(artifact), output.path, settings=settings, data_dir=data_dir, force=output.force
        )
    if files.save_config:
        write_text(files.save_config, dump_section(settings))
    show.print_artifact(quantized, as_json=output.as_json)
    if settings.mode != "auto":
        return PASSED
    report = SearchReport.read(quantized.report_path(REPORT))
    if not output.as_json:
        show.print_search(report, quantized)
    return PASSED if report.met else FAILED


def _refuse_search(mode: str, given: list[str]) -> None:
    """Check that no option was given that only a search uses.

    Raises:
        UsageError: naming the first.
    """
    if given:
        raise UsageError(
            f"{given[0]}: is for --mode auto, and the mode is {mode}; leave it out, or change the mode"
        )
