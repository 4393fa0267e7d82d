"""A bench report as Markdown, for a job summary, a merge request or a model card."""

from quantkit.printable import spelled_out
from quantkit.records.bench import BenchReport
from quantkit.report.digits import short
from quantkit.report.markdown.text import escape
from quantkit.report.words import interval_text, noise_line, profile_text, ratio_text


def bench_markdown(report: BenchReport) -> str:
    """Return a table of the artifacts, and under what it was measured."""
    columns = ["artifact", "digest", "windows/s", "ratio", "90 % interval"]
    latency = list(report.results[0].latency_ms)
    columns += [f"{escape(name)}, ms" for name in latency]
    lines = [
        f"## quantkit bench: {escape(report.scenario)}",
        "",
        *([noise_line(report), ""] if report.verdict != "measured" else []),
        f"| {' | '.join(columns)} | profile |",
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
            escape(profile_text(result)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    cpu = escape(str(report.cpu.get("model", "an unknown CPU")))
    bound = "" if report.latency_bound_ms is None else f", 99 % within {report.latency_bound_ms:g} ms"
    lines += [
        "",
        f"{report.windows:,} windows of {escape(report.dataset_name)}, {report.repeats} interleaved rounds, "
        f"{report.threads} threads on {cpu}{bound}. Ratios are to the first artifact, within a round.",
    ]
    return spelled_out("\n".join(lines) + "\n")
