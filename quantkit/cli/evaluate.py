"""quantkit evaluate: F1 and exact match of an artifact."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("evaluate")
@click.argument("artifact", required=False)
@options.model_option
@click.option("--data", show_default="squad", help="Dataset name, or a file in the task's format.")
@click.option("--limit", type=int, help="First N questions only (never for a gate).")
@click.option("--token-budget", type=int, show_default="1024", help="Tokens per batch, padding included.")
@click.option(
    "--equal-lengths",
    is_flag=True,
    default=None,
    help="Only rows of one length share a batch: no mask is needed.",
)
@click.option("--threads", type=int, help="Instances of one thread each; otherwise as tuned, or all cores.")
@click.option(
    "--engine",
    type=click.Choice(("threads", "processes", "ray")),
    help="What runs the instances, the answers are the same; otherwise as tuned, or threads.",
)
@options.ray_address_option
@click.option("--refresh", is_flag=True, help="Evaluate again, also what was evaluated before.")
@options.data_dir_option
@options.json_option
def command(
    *,
    artifact: str | None,
    model: str | None,
    data: str | None,
    limit: int | None,
    token_budget: int | None,
    equal_lengths: bool | None,
    threads: int | None,
    engine: str | None,
    ray_address: str | None,
    refresh: bool,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Measure F1 and exact match of an artifact.

    Every question's answer and score is kept in the artifact's reports. The same artifact on the same data is
    evaluated once.
    """
    source = options.chosen(artifact, model, "ARTIFACT")
    from quantkit.artifact import Artifact
    from quantkit.recipe.settings import EvaluateSettings
    from quantkit.stages.evaluate import evaluate

    settings = options.section(
        EvaluateSettings,
        {
            "data": data,
            "limit": limit,
            "token_budget": token_budget,
            "equal_lengths": equal_lengths,
            "threads": threads,
            "engine": engine,
            "ray_address": ray_address,
        },
    )
    with show.working():
        report = evaluate(Artifact.open(source), settings=settings, data_dir=data_dir, refresh=refresh)
    if as_json:
        show.print_json(report.as_json())
        return
    show.print_facts(
        "",
        [
            ("artifact", f"{source} ({report.artifact[:12]})"),
            (
                "dataset",
                f"{report.dataset_name}: {report.questions:,} questions, {report.features:,} features",
            ),
            ("F1", f"{report.f1:.3f}"),
            ("exact match", f"{report.exact_match:.3f}"),
            ("speed", f"{report.features_per_second:.1f} features/s, {report.seconds:.1f} s in all"),
        ],
    )
