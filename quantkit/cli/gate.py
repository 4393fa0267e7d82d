"""quantkit gate: the verdict on a candidate."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("gate")
@click.argument("candidate", required=False)
@options.model_option
@click.option("--baseline", required=True, help="The FP32 artifact to compare with.")
@click.option("--data", show_default="squad", help="Dataset name or file both are evaluated on.")
@click.option(
    "--min-ratio", type=float, show_default="0.999", help="Least candidate F1 / reference F1, unrounded."
)
@click.option(
    "--reference-f1", type=float, help="Fixed reference instead of the baseline's F1, such as 90.874."
)
@click.option(
    "--policy",
    type=click.Choice(["mlperf", "statistical"]),
    show_default="mlperf",
    help="Point estimate on all questions, or a paired interval that can be inconclusive.",
)
@click.option(
    "--confidence", type=float, show_default="0.95", help="One-sided confidence of the statistical policy."
)
@click.option(
    "--min-int8-coverage", type=float, show_default="0.9", help="Least share of MACs in integer kernels."
)
@click.option("--max-size-mb", type=float, help="Largest model in MB (10^6 bytes).")
@click.option("--resamples", type=int, show_default="10000", help="Bootstrap resamples.")
@click.option("--seed", type=int, show_default="0", help="Bootstrap seed.")
@click.option("--threads", type=int, show_default="all cores", help="Worker threads of the evaluation.")
@click.option("--junit", type=options.FILE, help="Also write JUnit XML to this file.")
@click.option("--markdown", type=options.FILE, help="Also write the Markdown summary to this file.")
@options.data_dir_option
@options.json_option
def command(
    *,
    candidate: str | None,
    model: str | None,
    baseline: str,
    data: str | None,
    min_ratio: float | None,
    reference_f1: float | None,
    policy: str | None,
    confidence: float | None,
    min_int8_coverage: float | None,
    max_size_mb: float | None,
    resamples: int | None,
    seed: int | None,
    threads: int | None,
    junit: Path | None,
    markdown: Path | None,
    data_dir: Path | None,
    as_json: bool,
) -> int:
    """Judge a candidate against its FP32 baseline.

    Both are evaluated unless they were before. Exit codes: 0 passed, 3 failed, 4 inconclusive, 2 for a
    mistake in the command. The reports stay in the candidate; the summary is appended to
    $GITHUB_STEP_SUMMARY when that is set.
    """
    source = options.chosen(candidate, model, "CANDIDATE")
    from quantkit.artifact import Artifact
    from quantkit.files import write_text
    from quantkit.pipeline.judging import Terms, judge
    from quantkit.recipe.settings import EvaluateSettings, GateSettings

    terms = Terms(
        evaluate=options.section(EvaluateSettings, {"data": data, "threads": threads}),
        gate=options.section(
            GateSettings,
            {
                "min_ratio": min_ratio,
                "reference_f1": reference_f1,
                "policy": policy,
                "confidence": confidence,
                "min_int8_coverage": min_int8_coverage,
                "max_size_mb": max_size_mb,
                "resamples": resamples,
                "seed": seed,
            },
        ),
    )
    with show.working():
        report = judge(Artifact.open(source), Artifact.open(baseline), terms=terms, data_dir=data_dir)
    if junit:
        from quantkit.report.junit import gate_junit

        write_text(junit, gate_junit(report))
    if markdown:
        from quantkit.report.markdown import gate_markdown

        write_text(markdown, gate_markdown(report))
    if as_json:
        show.print_json(report.as_json())
    else:
        from quantkit.report.terminal import show as show_report

        show_report(report)
    return report.exit_code
