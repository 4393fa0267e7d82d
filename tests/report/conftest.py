"""A comparison of two models, FP32 and INT8, with the numbers of a write-up."""

from collections.abc import Callable

import pytest

from quantkit.records import (
    Check,
    GateReport,
    Interval,
    ShapeBlock,
    ShapeCandidate,
    ShapeOption,
    ShapeSearch,
)
from quantkit.records.comparison import (
    Comparison,
    Entry,
    LayerDamage,
    Missing,
    Provenance,
    ScoreSource,
    ThroughputSource,
)
from quantkit.records.shapes import OnWorkers, TrialTimes
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


@pytest.fixture
def shape_search() -> ShapeSearch:
    """Return a search of a teacher of three layers: two candidates, the second chosen, and a uniform model."""
    teacher = _shape(0, "teacher", (12, 12, 12), (3072, 3072, 3072), speed=1.0, divergence=0.01)
    return ShapeSearch(
        teacher="e" * 64,
        task="squad",
        family="bert",
        limits={"min_throughput": 1.9, "max_parameters": 60_000_000},
        met=True,
        chosen=2,
        tokens=170,
        rows=6,
        beside_us=70.0,
        price_error=0.021,
        rank_correlation=-0.5,
        baseline_score=91.0849,
        teacher_divergence=0.01,
        teacher_score=91.0,
        data_digest="1" * 64,
        data_questions=512,
        damage_questions=256,
        selection_digest="2" * 64,
        selection_questions=1000,
        blocks=tuple(
            ShapeBlock(
                slot=f"layer.{layer}.{kind}",
                units=most,
                options=tuple(
                    ShapeOption(units=units, error=0.5, damage=0.0625 * (1 - units / most), cost_us=units / 4)
                    for units in range(most, -1, -most // 4)
                ),
            )
            for layer in range(3)
            for kind, most in (("attention", 12), ("feed_forward", 3072))
        ),
        candidates=(
            teacher,
            _shape(1, "solution 1 of round 1", (12, 9, 3), (3072, 0, 768), speed=1.8, divergence=0.2),
            _shape(2, "solution 1 of round 2", (9, 0, 6), (2304, 1536, 0), speed=2.0, divergence=0.3),
            _shape(3, "uniform", (6, 6, 6), (1536, 1536, 1536), speed=1.95, divergence=0.5),
        ),
        seconds={"moments": 20.0, "damage": 100.5},
        trials=(
            TrialTimes(part="moments", seconds=(20.0,)),
            TrialTimes(part="damage", seconds=(50.25, 50.25)),
            TrialTimes(part="candidates 1", seconds=(4000.0,)),
        ),
        on_workers=(
            OnWorkers(
                workers=8,
                seconds=4070.25,
                parts={"moments": 20.0, "damage": 50.25, "candidates 1": 4000.0},
            ),
        ),
        tools={"onnxruntime": "1.23.0"},
        cpu={"model": "Some <CPU> & more", "features": ["avx512_vnni"]},
    )


def _shape(
    number: int,
    origin: str,
    heads: tuple[int, ...],
    feed_forward: tuple[int, ...],
    *,
    speed: float,
    divergence: float,
) -> ShapeCandidate:
    return ShapeCandidate(
        number=number,
        origin=origin,
        heads=heads,
        feed_forward=feed_forward,
        parameters=int(100e6 / speed),
        size_bytes=int(100e6 / speed),
        l3_bytes=int(110e6 / speed),
        predicted_damage=divergence / 2 if number else 0.0,
        divergence=divergence,
        score=91 - divergence,
        ratio=0.9989999,
        expected_ratio=0.998,
        expected_ratio_low=0.99,
        predicted_cost_us=9000 / speed,
        cost_us=9900 / speed,
        throughput=speed,
        meets=speed > 1.9,
        front=divergence < 0.4,
        folder="chosen" if number == 2 else "",
    )
