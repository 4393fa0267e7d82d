"""The table a run ends with."""

from pathlib import Path
from typing import TYPE_CHECKING

from quantkit.cli import show
from quantkit.report.digits import cut

if TYPE_CHECKING:
    from quantkit.pipeline.outcome import RunReport


def print_run(report: "RunReport") -> None:
    """Print what each step cost, the numbers that matter, the verdict, and where the artifact is."""
    rows = [
        (
            step.step,
            "done" if step.action == "run" else "kept",
            f"{step.seconds:.1f} s",
            _memory(step.peak_memory_bytes),
        )
        for step in report.steps
    ]
    columns = ("step", "", "wall time", "peak memory")
    show.print_table(f"{report.recipe} in {report.work}", columns, rows, right=(2, 3))
    shrunk = report.baseline_bytes / report.candidate_bytes
    facts = [
        *_smaller(report),
        (report.metric, f"FP32 {cut(report.baseline_f1, 3)}, INT8 {cut(report.candidate_f1, 3)}"),
        (
            "exact match",
            f"FP32 {cut(report.baseline_exact_match, 3)}, INT8 {cut(report.candidate_exact_match, 3)}",
        ),
        ("ratio", cut(report.ratio)),
        ("questions changed", f"{show.percent(report.changed)} of {report.questions:,}"),
        ("INT8 coverage", show.percent(report.int8_coverage)),
        (
            "size",
            f"FP32 {show.megabytes(report.baseline_bytes)}, INT8 {show.megabytes(report.candidate_bytes)} "
            f"({shrunk:.2f} x smaller)",
        ),
        (
            "throughput",
            (report.bench or "not measured")
            if report.qps_ratio is None
            else f"{report.qps_ratio:.2f} x FP32",
        ),
        (
            "verdict",
            report.verdict + (f" ({', '.join(report.failed_checks)})" if report.failed_checks else ""),
        ),
        ("published", _published(report)),
        ("report", str(_folder(report) / "reports" / "gate.md")),
    ]
    show.print_facts("", facts)


def _published(report: "RunReport") -> str:
    if report.published is None:
        return "no"
    return report.published + (" (already published)" if report.already_published else "")


def _folder(report: "RunReport") -> Path:
    """Return where the candidate can be looked into: its published folder, or in the run's when it has none."""
    published = Path(report.published or "")
    return published if report.published and published.is_dir() else Path(report.work) / "03-int8"


def _memory(count: int) -> str:
    return show.megabytes(count) if count else ""


def _smaller(report: "RunReport") -> list[tuple[str, str]]:
    """Return what was made of the recipe's checkpoint, for a recipe that makes a smaller one."""
    found = report.smaller
    if found is None:
        return []
    facts = []
    if found.parameters and found.teacher_parameters:
        share = show.percent(found.parameters / found.teacher_parameters)
        facts.append(
            ("parameters", f"{found.parameters:,} of the original's {found.teacher_parameters:,} ({share})")
        )
    if found.throughput is not None:
        met = "all that was asked" if found.met else "less than was asked"
        facts.append(("search", f"{found.throughput:.2f} x the INT8 original: {met}"))
    if found.before_training is not None and found.after_training is not None:
        facts.append(
            (
                "training",
                f"{report.metric} {cut(found.before_training, 2)} before, {cut(found.after_training, 2)} after, "
                "on the selection",
            )
        )
    return [
        *facts,
        (f"{report.metric} of the student", f"FP32 {cut(found.f1, 3)}; the FP32 below is the original"),
    ]
