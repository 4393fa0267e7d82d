"""quantkit gate: the verdict on a candidate."""

from dataclasses import dataclass
from pathlib import Path

import click

from quantkit.cli import options, show
from quantkit.cli.options.trust import Trust, trust_options


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Where the verdict is written beside the artifact's reports."""

    junit: Path | None
    markdown: Path | None


@click.command("gate")
@options.argument("CANDIDATE")
@click.option("--baseline", required=True, type=options.ARTIFACT, help="The FP32 artifact to compare with.")
@options.settings("EvaluateSettings", only=("data", "metric", "exact_int8", "threads"))
@options.settings("GateSettings")
@options.grouped(
    "files",
    Files,
    click.option("--junit", type=options.FILE, help="Also write JUnit XML to this file."),
    click.option("--markdown", type=options.FILE, help="Also write the Markdown summary to this file."),
)
@trust_options(untrusted=True)
@options.json_option
def command(
    *,
    candidate: str,
    baseline: str,
    given: options.Given,
    files: Files,
    trust: Trust,
    as_json: bool,
) -> int:
    """Judge a candidate against its FP32 baseline.

    Both are evaluated unless they were before, by a process with limits unless they are --trusted. Exit
    codes: 0 passed, 3 failed, 4 inconclusive, 2 for a mistake in the command. The reports stay in the
    candidate; the summary is appended to $GITHUB_STEP_SUMMARY when that is set.
    """
    from quantkit.artifact import Artifact
    from quantkit.files import write_text
    from quantkit.pipeline.judging import Terms, judge
    from quantkit.recipe.settings import EvaluateSettings, GateSettings
    from quantkit.tasks.own_metric import OwnMetric

    evaluation = given.build(EvaluateSettings)
    terms = Terms(
        evaluate=evaluation,
        own=OwnMetric.allowed(evaluation.metric, allow_code=trust.allow_code),
        gate=given.build(GateSettings),
        cached=not trust.no_cache,
        limits=trust.limits(),
    )
    with show.working():
        report = judge(
            Artifact.open(candidate), Artifact.open(baseline), terms=terms, data_dir=trust.data_dir
        )
    if files.junit:
        from quantkit.report.junit import gate_junit

        write_text(files.junit, gate_junit(report))
    if files.markdown:
        from quantkit.report.markdown import gate_markdown

        write_text(files.markdown, gate_markdown(report))
    if as_json:
        show.print_json(report.as_json())
    else:
        from quantkit.report.terminal import show as show_report

        show_report(report)
    return report.exit_code
