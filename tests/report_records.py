"""Records to draw and to write: a gate, a bench of four artifacts, and what `tune` tried."""

from typing import Any, Literal

from quantkit.records import BenchReport, BenchResult, Check, GateReport, Interval
from quantkit.records.tune import TuneReport, TuneTrial

CHECKS = (
    Check(name="f1 mlperf", required=">= 0.999 of 75.0", observed="0.998 (F1 74.85)", verdict="fail"),
    Check(
        name="f1 statistical", required="p <= 5 %", observed="p 0.2", verdict="inconclusive", decides=False
    ),
    Check(name="fusions", required="SkipLayerNormalization 12", observed="complete", verdict="pass"),
)


def gate_report(**changes: object) -> GateReport:
    """Return the report of a gate that failed by a hair."""
    report = GateReport(
        verdict="fail",
        policy="mlperf",
        artifact="a" * 64,
        baseline="b" * 64,
        dataset="d" * 64,
        dataset_name="squad",
        questions=10_570,
        excluded=100,
        min_ratio=0.999,
        ratio=0.99899999,
        baseline_f1=75.0,
        candidate_f1=74.92499925,
        changed=0.02,
        kept_ratio=0.9985,
        interval=Interval(low=0.9965, high=1.0005, confidence=0.9),
        p_value=0.2,
        resampled="article",
        clusters=48,
        design_effect=1.7,
        questions_needed=69_000,
        checks=CHECKS,
    )
    return report.model_copy(update=changes)


PROFILE = {
    "runtime": "onnxruntime",
    "engine": "threads",
    "instances": 2,
    "threads": 1,
    "token_budget": 1024,
    "equal_lengths": True,
    "precision": "f32",
}


def bench_result(name: str, qps: float, precision: Literal["fp32", "int8"], **changes: Any) -> BenchResult:
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
        "profile": PROFILE,
    }
    return BenchResult.model_validate({**content, **changes})


def bench_report(*results: BenchResult, **changes: Any) -> BenchReport:
    """Return a report of these results."""
    content = {
        "scenario": "offline",
        "dataset_name": "squad",
        "dataset": "0" * 64,
        "windows": 205,
        "repeats": 5,
        "threads": 2,
        "max_spread": 0.1,
        "results": results,
        "cpu": {"model": "Some <CPU>"},
    }
    return BenchReport.model_validate({**content, **changes})


FOUR = bench_report(
    bench_result("large", 12.0, "fp32"),
    bench_result("large-int8", 18.0, "int8", parent="large" * 4),
    bench_result("small", 76.0, "fp32"),
    bench_result("small-int8", 116.0, "int8", parent="small" * 4),
)


def profile(**changes: Any) -> dict[str, Any]:
    """Return the settings of a profile."""
    return {
        "instances": 2,
        "threads": 1,
        "token_budget": 1024,
        "engine": "threads",
        "runtime": "onnxruntime",
        "pinned": False,
        "spinning": False,
        "arena": True,
        "equal_lengths": False,
        **changes,
    }


def trial(step: str, ratio: float, **changes: Any) -> TuneTrial:
    """Return a trial."""
    return TuneTrial(
        step=step,
        profile=profile(**changes),
        qps=100 * ratio,
        ratio=ratio,
        interval=(0.98 * ratio, 1.02 * ratio),
        windows=60,
        rounds=1,
    )


def tune_report(*trials: TuneTrial, sure: bool = True) -> TuneReport:
    """Return a report whose best has 512 tokens."""
    return TuneReport(
        artifact="a" * 64,
        scenario="offline",
        dataset_name="squad",
        dataset="0" * 64,
        seconds=118.0,
        reference=profile(),
        chosen=profile(token_budget=512),
        qps=131.0,
        ratio=1.31,
        interval=(1.28, 1.33),
        sure=sure,
        settled=True,
        trials=trials,
    )


TRIALS = [
    trial("grid", 0.4 + 0.1 * place + 0.3 * (2 - threads), runtime=runtime, **shape, token_budget=budget)
    for runtime in ("onnxruntime", "openvino")
    for threads, shape in ((1, {"instances": 2, "threads": 1}), (2, {"instances": 1, "threads": 2}))
    for place, budget in enumerate((256, 512, 1024, 2048))
    if not (budget == 2048 and threads == 1)
]
