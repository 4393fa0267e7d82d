"""quantkit evaluate: F1 and exact match of an artifact."""

import contextlib
from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show
from quantkit.cli.options.trust import Trust, trust_options

if TYPE_CHECKING:
    from quantkit.artifact import Artifact
    from quantkit.records import Evaluation


@click.command("evaluate")
@options.argument("ARTIFACT")
@options.settings("EvaluateSettings")
@click.option("--refresh", is_flag=True, help="Evaluate again, also what was evaluated before.")
@trust_options(untrusted=False)
@options.json_option
def command(
    *,
    artifact: str,
    given: options.Given,
    refresh: bool,
    trust: Trust,
    as_json: bool,
) -> None:
    """Measure F1 and exact match of an artifact.

    Every question's answer and score is kept in the artifact's reports. The same artifact on the same data is
    evaluated once.
    """
    from quantkit.artifact import Artifact
    from quantkit.pipeline.confined import Confined
    from quantkit.recipe.settings import EvaluateSettings
    from quantkit.stages.evaluate import evaluate
    from quantkit.tasks.own_metric import OwnMetric

    settings, limits = given.build(EvaluateSettings), trust.limits()
    own = OwnMetric.allowed(settings.metric, allow_code=trust.allow_code)
    with show.working(), contextlib.ExitStack() as stack:
        opened = Artifact.open(artifact)
        process = None if limits is None else stack.enter_context(Confined(limits, (opened,)))
        report = evaluate(
            opened,
            settings=settings,
            data_dir=trust.data_dir,
            refresh=refresh,
            cached=not trust.no_cache,
            elsewhere=None if process is None else process.evaluate,
            own=own,
        )
    beside = _beside(opened, report)
    if as_json:
        show.print_json(report.as_json() | ({"others": beside} if beside else {}))
        return
    show.print_facts(
        "",
        [
            ("artifact", f"{artifact} ({report.artifact[:12]})"),
            (
                "dataset",
                f"{report.dataset_name}: {report.questions:,} questions, {report.features:,} windows",
            ),
            *([("truncated", report.truncated_words)] if report.truncated_words else []),
            (report.metric, f"{report.f1:.3f}"),
            *((name, f"{value:.3f}") for name, value in beside.items()),
            ("exact match", f"{report.exact_match:.3f}"),
            *(
                (
                    f"  {name}",
                    f"F1 {part.f1:.3f}, exact match {part.exact_match:.3f}, {part.questions:,} questions",
                )
                for name, part in report.parts.items()
            ),
            *(
                [("  best threshold", f"{best.threshold:.3f}, F1 {best.f1:.3f} on these questions")]
                if (best := report.best_threshold)
                else []
            ),
            *([("int8 products", report.settings["int8_products"])] if settings.exact_int8 else []),
            ("speed", f"{report.features_per_second:.1f} windows/s, {report.seconds:.1f} s in all"),
        ],
    )


def _beside(artifact: "Artifact", report: "Evaluation") -> dict[str, float]:
    """Return other views of the score, by name, in percent; none beside a metric of one's own, but what chance is."""
    if report.own_metric is not None:
        return {"chance": report.own_metric.chance}
    from quantkit.metrics.metric import measures_of
    from quantkit.metrics.others import others

    names = artifact.config.get("id2label")
    labels = list(names.values()) if isinstance(names, dict) else []
    return others(report.task, measures_of(report.scores), [str(name) for name in labels])
