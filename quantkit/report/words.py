"""Phrases that every medium uses: where numbers come from, how something ran, why a ratio is missing."""

from quantkit.records.bench import BenchReport, BenchResult
from quantkit.records.comparison import Comparison
from quantkit.report.digits import counted
from quantkit.report.groups import score_name


def score_words(report: Comparison) -> str:
    """Say which questions the scores are of."""
    name = score_name(report.task)
    if report.scores is None:
        return f"No artifact carries an {name} score."
    truncated = f" (truncated: {report.scores.truncated})" if report.scores.truncated else ""
    return f"{name} on {report.scores.questions:,} questions of {report.scores.dataset_name}{truncated}."


def throughput_words(report: Comparison) -> str:
    """Say which measurement the throughputs are of."""
    source = report.throughput
    if source is None:
        return "No artifact carries a throughput."
    bound = (
        f", 99 % within {source.latency_bound_ms:g} ms"
        if source.latency_bound_ms and source.scenario == "server"
        else ""
    )
    gains = (
        "It was too noisy for ratios."
        if source.too_noisy
        else "Gains are medians of ratios within a round; small print: their bounds."
    )
    threads = counted(source.threads, "thread")
    return (
        f"Throughput in windows per second, {source.scenario}: one interleaved measurement of "
        f"{source.windows:,} windows of {source.dataset_name}, {source.repeats} rounds, {threads}{bound}. {gains}"
    )


def noise_line(report: BenchReport) -> str:
    """Return why ratios are missing, and what can be done."""
    worst = max((result.noise or 0.0) for result in report.results)
    limit = report.max_spread or 0.0
    return (
        f"too noisy: after {report.repeats} rounds a median is known to {100 * worst:.0f} % only, "
        f"{100 * limit:g} % are asked for; quiet the machine, or allow more with --max-repeats or --max-spread"
    )


def ratio_text(result: BenchResult) -> str:
    """Return the ratio, or that there is none."""
    return "too noisy" if result.ratio is None else f"{result.ratio:.2f} x"


def interval_text(result: BenchResult) -> str:
    """Return the interval of the ratio; of an older report its smallest and largest."""
    low, high = result.interval or result.spread
    return f"{low:.2f} to {high:.2f}"


def profile_text(result: BenchResult) -> str:
    """Return how it ran, in short: `onnxruntime, 2 x 1 threads, 1024 tokens`."""
    profile = result.profile
    if not profile:
        return ""
    words = [
        str(profile["runtime"]) + (f" {profile['precision']}" if profile["runtime"] == "openvino" else "")
    ]
    words.append(f"{profile['instances']} x {profile['threads']} {profile['engine']}")
    words.append(
        f"{profile['token_budget']:,} tokens" + (", equal lengths" if profile["equal_lengths"] else "")
    )
    words += [profile["int8_products"]] if "int8_products" in profile else []
    return ", ".join(words)
