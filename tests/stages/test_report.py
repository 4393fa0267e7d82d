"""The comparison: numbers of these very artifacts, of one dataset and one run, and gaps where there are none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.artifact import Artifact, StageRecord, new_artifact
from quantkit.errors import ArtifactError, UsageError
from quantkit.records import BenchReport, BenchResult, Evaluation
from quantkit.stages.report import report

Maker = Callable[..., Artifact]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Return what makes an artifact with a parent and a checkpoint."""

    def make(
        name: str,
        precision: str = "fp32",
        *,
        parent: str | None = None,
        checkpoint: str = "",
        teacher: str = "",
    ) -> Artifact:
        facts: dict[str, Any] = {"parameters": 1000, "checkpoint": "some-model"}
        if checkpoint:
            facts["checkpoint_digest"] = checkpoint
        if teacher:
            facts["teacher_digest"] = teacher
        with new_artifact(tmp_path / name) as draft:
            draft.model_path.write_bytes(name.encode() * (4 if precision == "fp32" else 1))
            (draft.path / "config.json").write_text("{}\n")
            draft.record(
                task="squad",
                architecture="bert",
                precision="int8" if precision == "int8" else "fp32",
                stages=(StageRecord(stage="export", facts=facts),),
                parent=parent,
            )
        return Artifact.open(tmp_path / name)

    return make


def _evaluate(
    artifact: Artifact, f1: float, *, dataset: str = "squad", about: str | None = None, **settings: Any
):
    evaluation = Evaluation(
        key="0" * 64,
        artifact=about or artifact.digest,
        task="squad",
        dataset=dataset.ljust(64, "0"),
        dataset_name=dataset,
        f1=f1,
        exact_match=f1 - 10,
        questions=len(dataset),
        features=9,
        settings={"token_budget": 1024, "features": settings},
        seconds=1.0,
        features_per_second=1.0,
        predictions_sha256="0" * 64,
    )
    artifact.write_report("evaluation.json", evaluation.as_json())
    artifact.write_report(f"evaluation-{dataset}.json", evaluation.as_json())


def _run(*measured: tuple[Artifact, float], scenario: str = "offline", noisy: bool = False) -> BenchReport:
    first = measured[0][1]
    return BenchReport(
        scenario=scenario,
        verdict="too noisy" if noisy else "measured",
        dataset_name="squad",
        dataset="1" * 64,
        windows=10,
        repeats=3,
        threads=2,
        results=tuple(
            BenchResult(
                artifact=artifact.digest,
                name=artifact.path.name,
                qps=qps,
                ratio=None if noisy else qps / first,
                spread=(qps / first - 0.1, qps / first + 0.1),
            )
            for artifact, qps in measured
        ),
    )


def test_numbers_come_from_the_reports(make: Maker) -> None:
    """Score, size, parameters, throughput and the gains of an INT8 artifact against its parent."""
    plain = make("plain")
    small = make("small", "int8", parent=plain.digest)
    _evaluate(plain, 80.0)
    _evaluate(small, 79.96)
    small.write_report("bench.json", _run((plain, 10.0), (small, 25.0)).as_json())
    found = report([plain, small])
    gain = found.entries[1].gains[0]
    assert (
        found.entries[0].score,
        found.entries[0].parameters,
        found.entries[0].size_bytes,
        found.entries[0].throughput,
    ) == (80.0, 1000, 20, 10.0)
    assert (
        gain.against,
        gain.throughput,
        gain.throughput_bounds,
        gain.size,
    ) == ("its FP32", 2.5, (2.4, 2.6), 0.25)
    assert gain.score_ratio == pytest.approx(0.9995, abs=1e-12)
    assert gain.score_points == pytest.approx(-0.04, abs=1e-9)
    assert [gap.number for gap in found.missing] == ["gate"]
    assert f"quantkit gate {small.path} --baseline {plain.path} --data squad" == found.missing[0].command


@pytest.mark.parametrize("name", ["evaluation.json", "evaluation-squad.json"])
def test_scores_of_another_digest_are_refused(make: Maker, name: str) -> None:
    """A copied evaluation is no evidence."""
    plain, other = make("plain"), make("other")
    _evaluate(plain, 80.0, about=other.digest)
    plain.report_path("evaluation-squad.json" if name == "evaluation.json" else "evaluation.json").unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: is about artifact {other.digest[:12]}"):
        report([plain])


def test_a_run_of_other_artifacts_is_refused(make: Maker) -> None:
    """A bench report in an artifact must have measured that artifact, and --bench one of those named."""
    plain, other = make("plain"), make("other")
    plain.write_report("bench.json", _run((other, 10.0)).as_json())
    with pytest.raises(ArtifactError, match=r"bench\.json: is about artifact"):
        report([plain])
    plain.report_path("bench.json").unlink()
    with pytest.raises(UsageError, match="measured none of the artifacts"):
        report([plain], bench=_run((other, 10.0)))


def test_gates_and_inspections_of_another_digest_are_refused(make: Maker, pass_gate) -> None:
    """A verdict belongs to the bytes it was made of."""
    plain = make("plain")
    pass_gate(plain, digest="9" * 64)
    plain.report_path("evaluation.json").unlink()
    with pytest.raises(ArtifactError, match=r"gate\.json: is about artifact 999999999999"):
        report([plain])


def test_throughputs_come_from_one_run(make: Maker) -> None:
    """Numbers of two runs never stand side by side: the run with the most artifacts wins, others have gaps."""
    first, second, third = make("first"), make("second"), make("third")
    second.write_report("bench.json", _run((first, 10.0), (second, 20.0)).as_json())
    third.write_report("bench.json", _run((third, 900.0)).as_json())
    found = report([first, second, third])
    assert tuple(entry.throughput for entry in found.entries) == (10.0, 20.0, None)
    assert found.entries[2].gains[0].throughput is None
    gap = next(gap for gap in found.missing if gap.number == "throughput")
    assert ("third", f"quantkit bench {first.path} {second.path} {third.path}") == (gap.name, gap.command)


def test_a_noisy_run_gives_no_gains(make: Maker) -> None:
    """What bench refuses to compare is not compared here either."""
    plain = make("plain")
    small = make("small", "int8", parent=plain.digest)
    found = report([plain, small], bench=_run((plain, 10.0), (small, 25.0), noisy=True))
    assert (found.entries[1].throughput, found.entries[1].gains[0].throughput) == (25.0, None)
    assert "throughput gain (the run was too noisy)" in [gap.number for gap in found.missing]


def test_scores_come_from_one_dataset(make: Maker) -> None:
    """Scores of other questions, or of windows cut otherwise, are gaps and not numbers."""
    first, second, third = make("first"), make("second"), make("third")
    _evaluate(first, 80.0, max_length=384)
    _evaluate(second, 81.0, max_length=384)
    _evaluate(second, 99.0, dataset="easy", max_length=384)
    _evaluate(third, 82.0, max_length=128)
    found = report([first, second, third])
    assert tuple(entry.score for entry in found.entries) == (80.0, 81.0, None)
    assert f"quantkit evaluate {third.path} --data squad" in [gap.command for gap in found.missing]


def test_pairs_are_found_by_lineage_before_order(make: Maker, pass_gate) -> None:
    """Parent, then the gate's baseline, then the only one of the checkpoint, then order; never another checkpoint's."""
    exported, other = make("exported", checkpoint="c1"), make("other", checkpoint="c2")
    child = make("child", "int8", parent=other.digest, checkpoint="c2")
    cousin = make("cousin", "int8", parent="e" * 64, checkpoint="c1")
    found = report([exported, other, child, cousin])
    assert ("its parent", other.digest) == (found.entries[2].paired_by, found.entries[2].reference)
    assert ("the same checkpoint", exported.digest) == (
        found.entries[3].paired_by,
        found.entries[3].reference,
    )
    stranger = make("stranger", "int8", checkpoint="c3")
    nobody = make("nobody", "int8")
    found = report([exported, stranger, nobody])
    assert (found.entries[1].paired_by, found.entries[1].reference) == (None, None)
    assert ("the order", exported.digest) == (found.entries[2].paired_by, found.entries[2].reference)
    assert "gain against its FP32" in [gap.number for gap in found.missing]


def test_one_task_each_once(make: Maker) -> None:
    """The same artifact twice is a mistake, and so is none."""
    plain = make("plain")
    with pytest.raises(UsageError, match="is the same artifact as"):
        report([plain, plain])
    with pytest.raises(UsageError, match="name one artifact or more"):
        report([])


def test_gains_between_others_are_taken_round_by_round(make: Maker) -> None:
    """The median of the rounds' ratios, not the ratio of two medians."""
    plain = make("plain")
    first, second = make("first", "int8", parent=plain.digest), make("second", "int8", parent=plain.digest)
    run = _run((plain, 10.0), (first, 20.0), (second, 30.0))
    rates = ((10.0, 10.0, 10.0), (10.0, 20.0, 40.0), (30.0, 60.0, 20.0))
    results = [one.model_copy(update={"rates": each}) for one, each in zip(run.results, rates, strict=True)]
    found = report([plain, first, second], bench=run.model_copy(update={"results": tuple(results)}))
    assert (
        found.entries[2].gains[1].against,
        found.entries[2].gains[1].throughput,
    ) == ("the first INT8", 3.0)


def test_the_command_of_a_run_says_how_it_was_run(make: Maker) -> None:
    """Options that all shared are named; artifacts with profiles of their own were tuned."""
    plain, other = make("plain"), make("other")
    run = _run((plain, 10.0), (other, 20.0))
    shared = {
        "runtime": "openvino",
        "engine": "threads",
        "instances": 2,
        "token_budget": 512,
        "equal_lengths": True,
    }

    def command(*runs: dict[str, Any]) -> str:
        results = [
            one.model_copy(update={"profile": each}) for one, each in zip(run.results, runs, strict=True)
        ]
        bench = run.model_copy(update={"results": tuple(results)})
        return report([plain, other], bench=bench).provenance[-1].command

    assert command(shared, shared).endswith(
        "--threads 2 --runtime openvino --engine threads --instances 2 --token-budget 512 --equal-lengths"
    )
    assert command(shared, {**shared, "runtime": "onnxruntime"}).endswith("--profile tuned")


def test_a_student_stands_beside_its_teacher(make: Maker) -> None:
    """A smaller model says whose it is, has gains against the original in every number, and the right gate."""
    original = make("original", checkpoint="t")
    plain = make("plain", checkpoint="s", teacher="t")
    theirs = make("original-int8", "int8", parent=original.digest, checkpoint="t")
    found = make("found", "int8", parent=plain.digest, checkpoint="s", teacher="t")
    four = (original, plain, theirs, found)
    for artifact, f1 in zip(four, (80.0, 79.0, 79.5, 78.0), strict=True):
        _evaluate(artifact, f1)
    found.write_report("bench.json", _run(*zip(four, (10.0, 15.0, 20.0, 30.0), strict=True)).as_json())

    comparison = report(four)

    assert [entry.teacher for entry in comparison.entries] == ["", "original", "", "original"]
    assert [[gain.name for gain in entry.gains] for entry in comparison.entries] == [
        [],
        ["original"],
        ["original"],
        ["plain", "original-int8", "original"],
    ]
    assert [gain.score_points for gain in comparison.entries[3].gains] == [-1.0, -1.5, -2.0]
    assert all(gain.throughput is not None for entry in comparison.entries for gain in entry.gains)
    gates = [gap.command for gap in comparison.missing if gap.number == "gate"]
    assert [command.rpartition("--baseline ")[2] for command in gates] == [
        f"{original.path} --data squad",
        f"{original.path} --student --data squad",
    ]
