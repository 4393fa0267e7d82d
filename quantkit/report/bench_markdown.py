"""A bench report as Markdown, for a job summary, a merge request or a model card."""

from quantkit.records.bench import BenchReport, BenchResult
from quantkit.report.digits import short
from quantkit.report.markdown import escape

TOO_NOISY = "too noisy"


def render_bench(report: BenchReport) -> str:
    """Return a table of the artifacts, and under what it was measured."""
    columns = ["artifact", "digest", "windows/s", "ratio", "90 % interval"]
    latency = list(report.results[0].latency_ms)
    columns += [f"{name}, ms" for name in latency]
    lines = [
        f"## quantkit bench: {report.scenario}",
        "",
        *([noise_line(report), ""] if report.verdict != "measured" else []),
        f"| {' | '.join(columns)} | runs |",
        f"|---|---|{'---:|' * (len(columns) - 2)}---|",
    ]
    for result in report.results:
        cells = [
            escape(result.name),
            f"`{short(result.artifact)}`",
            f"{result.qps:.1f}",
            ratio_text(result),
            interval_text(result),
            *(f"{result.latency_ms[name]:.1f}" for name in latency),
            escape(runs_text(result)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    cpu = escape(str(report.cpu.get("model", "an unknown CPU")))
    bound = "" if report.latency_bound_ms is None else f", 99 % within {report.latency_bound_ms:g} ms"
    lines += [
        "",
        f"{report.samples:,} windows of {escape(report.dataset_name)}, {report.repeats} interleaved rounds, "
        f"{report.threads} threads on {cpu}{bound}. Ratios are to the first artifact, within a round.",
    ]
    return "\n".join(lines) + "\n"


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
    return TOO_NOISY if result.ratio is None else f"{result.ratio:.2f} x"


def interval_text(result: BenchResult) -> str:
    """Return the interval of the ratio; of an older report its smallest and largest."""
    low, high = result.interval or result.spread
    return f"{low:.2f} to {high:.2f}"


def runs_text(result: BenchResult) -> str:
    """Return how it ran, in short: `onnxruntime, 2 x 1 threads, 1024 tokens`."""
    runs = result.runs
    if not runs:
        return ""
    words = [str(runs["runtime"]) + (f" {runs['precision']}" if runs["runtime"] == "openvino" else "")]
    words.append(f"{runs['instances']} x {runs['threads']} {runs['engine']}")
    words.append(f"{runs['token_budget']:,} tokens" + (", equal lengths" if runs["equal_lengths"] else ""))
    return ", ".join(words)
