"""A comparison of two models, FP32 and INT8, with the numbers of a write-up."""

from collections.abc import Callable

import pytest

from quantkit.records import Check, GateReport, Interval
from quantkit.records.comparison import (
    Comparison,
    Entry,
    LayerDamage,
    Missing,
    Provenance,
    ScoreSource,
    ThroughputSource,
)
from quantkit.stages.report.gains import gains

DIGESTS = {"large": "a" * 64, "large-int8": "b" * 64, "small": "c" * 64, "small-int8": "d" * 64}


def _entry(name: str, **more: object) -> Entry:
    precision = "int8" if name.endswith("int8") else "fp32"
    reference = DIGESTS[name.removesuffix("-int8")] if precision == "int8" else None
    known = {"artifact": DIGESTS[name], "name": name, "path": name, "architecture": "bert"}
    paired = "its parent" if reference else None
    return Entry.model_validate(
        {**known, "precision": precision, "reference": reference, "paired_by": paired, **more}
    )


def _gate() -> GateReport:
    return GateReport(
        verdict="pass",
        policy="mlperf",
        artifact=DIGESTS["small-int8"],
        baseline=DIGESTS["small"],
        dataset="1" * 64,
        dataset_name="squad",
        questions=10570,
        excluded=0,
        min_ratio=0.999,
        ratio=0.9999,
        baseline_f1=91.08,
        candidate_f1=91.08,
        changed=0.01,
        kept_ratio=0.9999,
        interval=Interval(low=0.9991, high=1.0004, confidence=0.9),
        p_value=0.01,
        resampled="article",
        clusters=48,
        design_effect=1.1,
        questions_needed=20000,
        checks=(
            Check(name="f1 mlperf", required=">= 0.999", observed="0.9999", verdict="pass"),
            Check(name="shown only", required="-", observed="-", verdict="fail", decides=False),
        ),
    )


@pytest.fixture
def make_comparison(make_sensitivity) -> Callable[..., Comparison]:
    """Return what makes the comparison; `name` replaces the last artifact's name."""

    def make(name: str = "small-int8", *, measured: bool = True) -> Comparison:
        speeds = (12.0, 18.0, 76.0, 116.0)
        entries = (
            _entry("large", score=90.87, parameters=340_000_000, size_bytes=1_400_000_000),
            _entry("large-int8", score=90.0724, parameters=340_000_000, size_bytes=350_000_000),
            _entry("small", score=91.08, parameters=115_000_000, size_bytes=378_000_000, checkpoint="deci"),
            _entry("small-int8", score=91.08, parameters=115_000_000, size_bytes=95_000_000, gate=_gate()),
        )
        entries = tuple(
            entry.model_copy(
                update={
                    "throughput": speed if measured else None,
                    "throughput_ratio": speed / 12 if measured else None,
                    "throughput_bounds": (speed / 12 - 0.1, speed / 12 + 0.1) if measured else None,
                }
            )
            for entry, speed in zip(entries, speeds, strict=True)
        )
        entries = (*entries[:3], entries[3].model_copy(update={"name": name}))
        named = {entry.artifact: entry for entry in entries}
        found = [
            entry.model_copy(update={"gains": gains(entry, named, DIGESTS["large"])}) for entry in entries
        ]
        run = ThroughputSource(
            scenario="offline",
            dataset_name="squad",
            windows=200,
            repeats=5,
            threads=2,
            artifacts=tuple(named),
        )
        gap = Missing(artifact="", name="all", number="throughput", command=f"quantkit bench {name}")
        origin = Provenance(
            name=name,
            number="F1",
            file="reports/evaluation.json",
            command=f"quantkit evaluate {name}",
            tools={"onnxruntime": "1.23.0"},
            cpu={"model": "Some <CPU> & more", "cores": 2, "instruction_sets": ["avx2"]},
        )
        return Comparison(
            task="squad",
            entries=tuple(found),
            scores=ScoreSource(dataset="1" * 64, dataset_name="squad", questions=10570),
            throughput=run if measured else None,
            missing=() if measured else (gap,),
            sensitivities=(
                LayerDamage(
                    name=name,
                    artifact="c" * 64,
                    choice="static",
                    questions=400,
                    groups=make_sensitivity().groups,
                ),
            ),
            provenance=(origin,),
            tools={"quantkit": "0.1.0"},
        )

    return make
