"""A gate report as Markdown, for a job summary, a merge request or a model card."""

from quantkit.printable import spelled_out
from quantkit.records.gate import GateReport
from quantkit.report.advice import advice
from quantkit.report.digits import cut, short
from quantkit.report.markdown.text import SIGNS, escape


def gate_markdown(report: GateReport) -> str:
    """Return the summary: the verdict, what it rests on, and every check."""
    whose = "the baseline" if report.reference_f1 is None else f"the fixed reference {report.reference_f1}"
    interval, kept = report.interval, report.questions - report.excluded
    needed = "-" if report.questions_needed is None else f"{report.questions_needed:,}"
    rows = [
        (f"candidate {escape(report.metric)}", f"{cut(report.candidate_f1, 4)} (`{short(report.artifact)}`)"),
        (f"baseline {escape(report.metric)}", f"{cut(report.baseline_f1, 4)} (`{short(report.baseline)}`)"),
        ("ratio, all questions", f"{cut(report.ratio)} of {whose}"),
        ("ratio, not calibrated on", f"{cut(report.kept_ratio)} on {kept:,} questions"),
        (f"{interval.confidence:.0%} interval", f"{cut(interval.low)} to {cut(interval.high)}"),
        (f"p of a ratio below {report.min_ratio}", f"{report.p_value:.4f}"),
        ("questions changed", f"{report.changed:.2%}"),
        ("questions needed", f"{needed} (80 % power, design effect {report.design_effect:.2f})"),
    ]
    lines = [
        f"## {SIGNS[report.verdict]} quantkit gate: {report.verdict}",
        "",
        f"Policy `{report.policy}`, {report.questions:,} questions of {escape(report.dataset_name)}, "
        f"resampled by {report.resampled} ({report.clusters} articles).",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "| check | required | observed | verdict |",
        "|---|---|---|---|",
    ]
    for check in report.checks:
        verdict = f"{SIGNS[check.verdict]} {check.verdict}" + ("" if check.decides else " (not counted)")
        cells = (escape(check.name), escape(check.required), escape(check.observed), verdict)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"* {escape(line)}" for line in advice(report))] if advice(report) else []
    return spelled_out("\n".join(lines) + "\n")
