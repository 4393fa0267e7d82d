"""quantkit tune: the fastest way to run an artifact on this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show

if TYPE_CHECKING:
    from quantkit.artifact import Artifact
    from quantkit.records.tune import TuneReport
    from quantkit.stages.tune import Tuned

HEAT_MAP = "tune.png"
_SHADES = " ░▒▓█"


@click.command("tune")
@options.argument("ARTIFACT")
@options.settings("TuneSettings")
@click.option("-o", "--output", type=options.FILE, help="Write the profile there, not into the artifact.")
@options.data_dir_option
@options.json_option
def command(
    *, artifact: str, given: options.Given, output: Path | None, data_dir: Path | None, as_json: bool
) -> None:
    """Find the fastest way to run an artifact on this machine.

    Instances, threads, batches, memory options, engines and runtimes are tried in interleaved rounds. The best
    is written into the artifact as its runtime profile, valid for this CPU; the artifact's digest stays.
    """
    from quantkit.artifact import Artifact
    from quantkit.files import write_json
    from quantkit.recipe.settings import TuneSettings
    from quantkit.stages.tune import require_place, tune

    settings = given.build(TuneSettings)
    opened = Artifact.open(artifact)
    if output is None:
        require_place(opened)
    with show.working():
        tuned = tune(opened, settings=settings, data_dir=data_dir)
        if output is None:
            _keep(tuned, opened)
        else:
            write_json(output, tuned.profile.as_json())
    if as_json:
        show.print_json(tuned.report.as_json())
    else:
        _print(tuned.report, output or opened.report_path("runtime.json"))


def _keep(tuned: "Tuned", artifact: "Artifact") -> None:
    from quantkit.errors import UsageError
    from quantkit.report.figures import tune_png
    from quantkit.runtime.profile import RUNTIME_REPORT

    artifact.write_report(RUNTIME_REPORT, tuned.profile.as_json())
    artifact.keep_report("tune.json", tuned.report.as_json())
    try:
        artifact.keep_report(HEAT_MAP, tune_png(tuned.report))
    except UsageError as error:
        show.say(f"no heat map: {error}")


def _print(report: "TuneReport", where: Path) -> None:
    from quantkit.report.profiles import profile_text, tuned_runtimes

    for runtime in tuned_runtimes(report):
        _print_map(report, runtime)
    held = "" if report.latency_bound_ms is None else f" with 99 % within {report.latency_bound_ms:g} ms"
    unit = "windows/s" if report.latency_bound_ms is None else "questions/s"
    low, high = report.interval
    gain = (
        f"{report.ratio:.2f} x the default ({low:.2f} to {high:.2f} with 90 %)"
        if report.sure
        else "the default: nothing was surely faster"
    )
    tried = f"{len(report.trials)} trials in {report.seconds:.0f} s"
    facts = [
        ("chosen", profile_text(report.chosen)),
        ("throughput", f"{report.qps:.1f} {unit}{held}, {gain}"),
        ("tried", tried + (f", {len(report.skipped)} could not run" if report.skipped else "")),
        ("profile", str(where)),
    ]
    show.print_facts("", facts)
    if report.sure and not report.settled:
        show.say(
            "not settled: the gain is known less exactly than asked for; quiet the machine, or raise --budget"
        )


def _print_map(report: "TuneReport", runtime: str) -> None:
    from quantkit.report.profiles import tuned_map

    cells = tuned_map(report, runtime)
    if not cells:
        return
    shapes = list(dict.fromkeys(shape for shape, _ in cells))
    budgets = sorted({budget for _, budget in cells})
    low, high = min(cells.values()), max(cells.values())
    rows = [
        (shape, *(_cell(cells.get((shape, budget)), low, high) for budget in budgets)) for shape in shapes
    ]
    columns: Sequence[str] = ("instances x threads", *(f"{budget:,} tokens" for budget in budgets))
    title = f"{runtime}: throughput relative to the default"
    show.print_table(title, columns, rows, right=range(1, len(columns)))


def _cell(ratio: float | None, low: float, high: float) -> str:
    """Return a number with its shade: the darker the faster."""
    if ratio is None:
        return ""
    shade = _SHADES[round((len(_SHADES) - 1) * (ratio - low) / (high - low))] if high > low else _SHADES[-1]
    return f"{ratio:.2f} {shade * 2}"
