"""bench measures all artifacts on the same questions, in turns, and reports ratios within rounds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from quantkit.artifact import Artifact
from quantkit.errors import UsageError
from quantkit.recipe.settings import BenchSettings
from quantkit.runtime.cpu import cpu_facts
from quantkit.stages import bench as stage
from quantkit.stages.bench import bench, sample
from quantkit.tasks.datasets import load

Make = Callable[..., Artifact]


def settings_for(path: Path, scenario: str = "offline", **changes: int) -> BenchSettings:
    """Return settings for a file of questions."""
    content = {"data": str(path), "scenario": scenario, "token_budget": 64, "repeats": 3, **changes}
    return BenchSettings.model_validate(content)


def test_offline(make_span_artifact: Make, span_questions: Path) -> None:
    """The first artifact's ratio is exactly 1, and the others' median lies within their spread."""
    artifacts = [make_span_artifact("fp32"), make_span_artifact("int8", seed=1)]
    report = bench(artifacts, settings=settings_for(span_questions))
    first, second = report.results
    assert (report.scenario, report.samples, report.repeats) == ("offline", 6, 3)
    assert report.threads == cpu_facts().cores
    assert (first.name, first.ratio, first.spread) == ("fp32", 1.0, (1.0, 1.0))
    assert second.artifact == artifacts[1].digest
    assert second.spread[0] <= second.ratio <= second.spread[1]
    assert second.qps > 0
    assert second.latency_ms == {}


def test_single_stream(make_span_artifact: Make, span_questions: Path) -> None:
    """Latency percentiles are in order, in milliseconds, and fit the throughput."""
    report = bench([make_span_artifact()], settings=settings_for(span_questions, "single-stream", threads=1))
    latency = report.results[0].latency_ms
    assert list(latency) == ["p50", "p90", "p99"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"]
    assert latency["p50"] / 1000 < 1 / report.results[0].qps * 6
    assert report.threads == 1


@pytest.mark.parametrize("scenario", ["offline", "single-stream"])
def test_rounds_are_interleaved(
    make_span_artifact: Make, span_questions: Path, monkeypatch: pytest.MonkeyPatch, scenario: str
) -> None:
    """Passes alternate between the artifacts; the first round is not counted."""
    order: list[str] = []
    original = stage._PASSES[scenario]

    def record(contestant: stage._Contestant, threads: int, latencies: list[float]) -> None:
        order.append(contestant.artifact.path.name)
        original(contestant, threads, latencies)

    monkeypatch.setitem(stage._PASSES, scenario, record)
    artifacts = [make_span_artifact("a"), make_span_artifact("b", seed=1)]
    bench(artifacts, settings=settings_for(span_questions, scenario))
    assert order == ["a", "b"] * 4


def test_ratios_are_taken_within_rounds(make_span_artifact: Make, span_questions: Path) -> None:
    """A round that was slow for both does not move the ratio."""
    artifacts = [make_span_artifact("a"), make_span_artifact("b", seed=1)]
    settings = settings_for(span_questions)
    dataset = load(settings.data, "squad")
    first, second = (stage._contestant(artifact, dataset, settings, 1) for artifact in artifacts)
    first.seconds, second.seconds = [1.0, 10.0, 1.0], [0.5, 5.0, 0.25]
    result = stage._result(second, first)
    assert (result.ratio, result.spread) == (2.0, (2.0, 4.0))
    assert result.qps == 6 / 0.5


def test_sample_is_fixed(span_questions: Path) -> None:
    """The sample depends on ids alone, and a smaller one is the beginning of a larger one."""
    dataset = load(str(span_questions), "squad")
    three = [example.id for example in sample(dataset, 3).examples]
    five = [example.id for example in sample(dataset, 5).examples]
    assert three == five[:3]
    assert len(sample(dataset, 99).examples) == 6


def test_percentiles() -> None:
    """A percentile is a latency that was really seen."""
    assert stage._percentiles([0.001 * n for n in range(1, 101)]) == pytest.approx(
        {"p50": 50.0, "p90": 90.0, "p99": 99.0}
    )


def test_nothing_to_measure(span_questions: Path) -> None:
    """No artifact is a mistake."""
    with pytest.raises(UsageError, match="nothing to measure"):
        bench([], settings=settings_for(span_questions))


def test_tasks_are_not_mixed(make_span_artifact: Make, span_questions: Path) -> None:
    """Artifacts of different tasks cannot be compared."""
    one = make_span_artifact()
    manifest = one.manifest.model_copy(update={"task": "text-classification"})
    with pytest.raises(UsageError, match="squad and text-classification cannot be compared"):
        bench([one, Artifact(path=one.path, manifest=manifest)], settings=settings_for(span_questions))
