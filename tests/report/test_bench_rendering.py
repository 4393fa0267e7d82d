"""A bench as Markdown and as bars: models side by side, ratios or why there are none."""

from typing import Any, Literal

import pytest

from quantkit.records import BenchReport, BenchResult
from quantkit.report.bench_figure import bench_png, bench_svg, models
from quantkit.report.bench_markdown import noise_line, render_bench

RUNS = {
    "runtime": "onnxruntime",
    "engine": "threads",
    "instances": 2,
    "threads": 1,
    "token_budget": 1024,
    "equal_lengths": True,
    "precision": "f32",
}


def result(name: str, qps: float, precision: Literal["fp32", "int8"], **changes: Any) -> BenchResult:
    """Return the result of an artifact; its name makes its digest."""
    content = {
        "artifact": name * 4,
        "name": name,
        "precision": precision,
        "qps": qps,
        "ratio": qps / 12,
        "spread": (qps / 13, qps / 11),
        "interval": (qps / 12.5, qps / 11.5),
        "noise": 0.08,
        "rates": (qps * 0.97, qps, qps * 1.02),
        "runs": RUNS,
    }
    return BenchResult.model_validate({**content, **changes})


def report(*results: BenchResult, **changes: Any) -> BenchReport:
    """Return a report of these results."""
    content = {
        "scenario": "offline",
        "dataset_name": "squad",
        "dataset": "0" * 64,
        "samples": 205,
        "repeats": 5,
        "threads": 2,
        "max_spread": 0.1,
        "results": results,
        "cpu": {"model": "Some <CPU>"},
    }
    return BenchReport.model_validate({**content, **changes})


FOUR = report(
    result("large", 12.0, "fp32"),
    result("large-int8", 18.0, "int8", parent="large" * 4),
    result("small", 76.0, "fp32"),
    result("small-int8", 116.0, "int8", parent="small" * 4),
)


def test_models() -> None:
    """An INT8 artifact stands with the FP32 one it was made from, in whatever order they were named."""
    assert [["large", "large-int8"], ["small", "small-int8"]] == [
        [one.name for one in group] for group in models(FOUR.results)
    ]
    apart = [FOUR.results[index] for index in (0, 2, 3, 1)]
    assert ["large", "large-int8", "small", "small-int8"] == [
        one.name for group in models(apart) for one in group
    ]


def test_markdown() -> None:
    """One row per artifact with its ratio and how it ran; what it was measured on below."""
    text = render_bench(FOUR)
    assert "| small-int8 | `small-int8sm` | 116.0 | 9.67 x | 9.28 to 10.09 |" in text
    assert "2 x 1 threads, 1,024 tokens, equal lengths" in text
    assert "205 windows of squad, 5 interleaved rounds, 2 threads on Some \\<CPU\\>." in text
    server = report(
        result("a", 9.0, "int8", latency_ms={"p50": 1.0, "p90": 2.0, "p99": 3.0}),
        scenario="server",
        latency_bound_ms=130.0,
    )
    assert "| p50, ms | p90, ms | p99, ms | runs |" in render_bench(server)
    assert "99 % within 130 ms" in render_bench(server)


def test_too_noisy() -> None:
    """There is no ratio, and the line says how unsure it was and what can be done."""
    noisy = report(
        result("a", 12.0, "fp32", noise=0.0),
        result("b", 20.0, "int8", ratio=None, noise=0.31),
        verdict="too noisy",
        repeats=20,
    )
    assert "| too noisy |" in render_bench(noisy)
    assert "after 20 rounds a median is known to 31 % only, 10 % are asked for" in noise_line(noisy)
    assert noise_line(noisy) in render_bench(noisy)


def test_chart() -> None:
    """The chart is a PNG and a fragment for a page, and the same report gives the same bytes."""
    pytest.importorskip("matplotlib")
    assert bench_png(FOUR).startswith(b"\x89PNG")
    assert bench_png(FOUR) == bench_png(FOUR)
    assert bench_svg(FOUR).startswith("<svg")
    assert "var(--blue)" in bench_svg(FOUR)
    assert bench_png(report(FOUR.results[0])).startswith(b"\x89PNG")
