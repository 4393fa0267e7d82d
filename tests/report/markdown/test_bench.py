"""A bench as Markdown: ratios with how they ran, or why there are none."""

from report_records import FOUR, bench_report, bench_result

from quantkit.report.markdown import bench_markdown
from quantkit.report.words import noise_line


def test_markdown() -> None:
    """One row per artifact with its ratio and how it ran; what it was measured on below."""
    text = bench_markdown(FOUR)
    assert "| small-int8 | `small-int8sm` | 116.0 | 9.67 x | 9.28 to 10.09 |" in text
    assert "2 x 1 threads, 1,024 tokens, equal lengths" in text
    assert "205 windows of squad, 5 interleaved rounds, 2 threads on Some \\<CPU\\>." in text
    server = bench_report(
        bench_result("a", 9.0, "int8", latency_ms={"p50": 1.0, "p90": 2.0, "p99": 3.0}),
        scenario="server",
        latency_bound_ms=130.0,
    )
    assert "| p50, ms | p90, ms | p99, ms | profile |" in bench_markdown(server)
    assert "99 % within 130 ms" in bench_markdown(server)


def test_too_noisy() -> None:
    """There is no ratio, and the line says how unsure it was and what can be done."""
    noisy = bench_report(
        bench_result("a", 12.0, "fp32", noise=0.0),
        bench_result("b", 20.0, "int8", ratio=None, noise=0.31),
        verdict="too noisy",
        repeats=20,
    )
    assert "| too noisy |" in bench_markdown(noisy)
    assert "after 20 rounds a median is known to 31 % only, 10 % are asked for" in noise_line(noisy)
    assert noise_line(noisy) in bench_markdown(noisy)
