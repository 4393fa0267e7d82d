"""Sentences that say where the numbers of a comparison come from."""

from quantkit.records.comparison import Comparison
from quantkit.report.groups import score_name


def score_words(report: Comparison) -> str:
    """Say which questions the scores are of."""
    name = score_name(report.task)
    if report.scores is None:
        return f"No artifact carries an {name} score."
    return f"{name} on {report.scores.questions:,} questions of {report.scores.dataset_name}."


def run_words(report: Comparison) -> str:
    """Say which run the throughputs are of."""
    run = report.throughput
    if run is None:
        return "No artifact carries a throughput."
    bound = (
        f", 99 % within {run.latency_bound_ms:g} ms"
        if run.latency_bound_ms and run.scenario == "server"
        else ""
    )
    gains = (
        "It was too noisy for ratios."
        if run.too_noisy
        else "Gains are medians of ratios within a round; small print: their bounds."
    )
    threads = "1 thread" if run.threads == 1 else f"{run.threads} threads"
    return (
        f"Throughput in windows per second, {run.scenario}: one interleaved run of {run.samples:,} windows of "
        f"{run.dataset_name}, {run.repeats} rounds, {threads}{bound}. {gains}"
    )
