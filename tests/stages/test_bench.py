"""bench measures all artifacts on the same questions, in turns, and reports ratios within rounds, or refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.artifact import Artifact
from quantkit.errors import UsageError
from quantkit.recipe.settings import BenchSettings
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import Feeds, ThreadEngine
from quantkit.runtime.profile import RUNTIME_REPORT, RuntimeProfile
from quantkit.stages.bench import bench
from quantkit.stages.bench.profiles import profile_for
from quantkit.tasks.datasets import load
from quantkit.throughput.workload import sample

Make = Callable[..., Artifact]


def settings_for(path: Path, scenario: str = "offline", **changes: Any) -> BenchSettings:
    """Return settings for a file of questions, under which nothing is too noisy."""
    content = {"data": str(path), "scenario": scenario, "repeats": 3, "max_spread": 1e9, **changes}
    return BenchSettings.model_validate(content)


def test_offline(make_span_artifact: Make, span_questions: Path) -> None:
    """The first artifact's ratio is exactly 1, and the others' median lies within interval and spread."""
    artifacts = [make_span_artifact("fp32"), make_span_artifact("int8", seed=1)]
    report = bench(artifacts, settings=settings_for(span_questions, token_budget=64))
    first, second = report.results
    assert (report.scenario, report.verdict, report.windows, report.repeats) == ("offline", "measured", 6, 3)
    assert report.threads == cpu_facts().cores
    assert (first.name, first.ratio, first.spread, first.noise) == ("fp32", 1.0, (1.0, 1.0), 0.0)
    assert second.artifact == artifacts[1].digest
    assert second.ratio is not None
    assert second.interval is not None
    assert second.spread[0] <= second.interval[0] <= second.ratio <= second.interval[1] <= second.spread[1]
    assert len(second.rates) == 3
    assert second.qps == sorted(second.rates)[1] > 0
    assert second.latency_ms == {}
    assert tuple(second.profile[name] for name in ("runtime", "engine", "token_budget")) == (
        "onnxruntime",
        "threads",
        64,
    )


def test_single_stream(make_span_artifact: Make, span_questions: Path) -> None:
    """Latency percentiles are in order, in milliseconds, and fit the throughput."""
    report = bench([make_span_artifact()], settings=settings_for(span_questions, "single-stream", threads=1))
    latency = report.results[0].latency_ms
    assert list(latency) == ["p50", "p90", "p99"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"]
    assert latency["p50"] / 1000 < 1 / report.results[0].qps * 6
    assert report.threads == 1


def test_server(make_span_artifact: Make, span_questions: Path) -> None:
    """The rate that holds keeps 99 % within the bound, and both artifacts have one."""
    artifacts = [make_span_artifact("a"), make_span_artifact("b", seed=1)]
    settings = settings_for(span_questions, "server", repeats=2, max_repeats=2, latency_bound=60_000.0)
    report = bench(artifacts, settings=settings)
    assert report.latency_bound_ms == 60_000.0
    for result in report.results:
        assert result.qps > 0
        assert result.latency_ms["p99"] <= 60_000.0


def test_server_that_cannot_hold_its_bound(make_span_artifact: Make, span_questions: Path) -> None:
    """A bound that no rate holds is a mistake that names the bound and the model."""
    settings = settings_for(span_questions, "server", latency_bound=1e-6)
    with pytest.raises(UsageError, match=r"--latency-bound 1e-06: .*model.onnx does not hold it"):
        bench([make_span_artifact()], settings=settings)


@pytest.mark.parametrize("scenario", ["offline", "single-stream"])
def test_rounds_are_interleaved(
    make_span_artifact: Make, span_questions: Path, monkeypatch: pytest.MonkeyPatch, scenario: str
) -> None:
    """Passes alternate between the artifacts."""
    order: list[str] = []
    original = ThreadEngine.submit

    def submit(engine: ThreadEngine, feeds: Feeds) -> Any:
        order.append(Path(engine.name).parent.name)
        return original(engine, feeds)

    monkeypatch.setattr(ThreadEngine, "submit", submit)
    artifacts = [make_span_artifact("a"), make_span_artifact("b", seed=1)]
    bench(artifacts, settings=settings_for(span_questions, scenario))
    turns = [name for place, name in enumerate(order) if place == 0 or order[place - 1] != name]
    assert turns == ["a", "b"] * 4


def test_too_noisy(make_span_artifact: Make, span_questions: Path) -> None:
    """Rounds are added up to the limit; then the verdict says so, and there is no ratio to misread."""
    artifacts = [make_span_artifact("a"), make_span_artifact("b", seed=1)]
    settings = settings_for(span_questions, max_repeats=4, max_spread=1e-9)
    report = bench(artifacts, settings=settings)
    assert (report.verdict, report.repeats) == ("too noisy", 4)
    assert [result.ratio for result in report.results] == [1.0, None]


def test_sample_is_fixed(span_questions: Path) -> None:
    """The sample depends on ids alone, and a smaller one is the beginning of a larger one."""
    dataset = load(str(span_questions), "squad")
    three = [question.id for question in sample(dataset, 3).questions]
    five = [question.id for question in sample(dataset, 5).questions]
    assert three == five[:3]
    assert len(sample(dataset, 99).questions) == 6


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


def test_fewer_rounds_than_the_least(make_span_artifact: Make, span_questions: Path) -> None:
    """The most rounds cannot be below the fewest."""
    with pytest.raises(UsageError, match="--max-repeats 2: is below --repeats 3"):
        bench([make_span_artifact()], settings=settings_for(span_questions, max_repeats=2))


def test_fixed_profile(make_span_artifact: Make) -> None:
    """Threads are those of all instances together; a query by itself gets all of them."""
    artifact = make_span_artifact()

    def found(one_by_one: bool, **changes: Any) -> tuple[int, int, int | None]:
        profile = profile_for(artifact, BenchSettings(**changes), one_by_one=one_by_one)
        return profile.instances, profile.threads, profile.max_batch

    assert found(False, threads=6) == (6, 1, None)
    assert found(False, threads=6, instances=2) == (2, 3, None)
    assert found(True, threads=6) == (1, 6, 1)
    with pytest.raises(UsageError, match="--instances 4: cannot share 6 threads evenly"):
        found(False, threads=6, instances=4)


def test_tuned_profile(make_span_artifact: Make, span_questions: Path) -> None:
    """Each artifact runs with its own; without one, or with another CPU's, the message says what to do."""
    artifact = make_span_artifact()
    settings = settings_for(span_questions, profile="tuned")
    with pytest.raises(UsageError, match=r"was not tuned; run `quantkit tune"):
        bench([artifact], settings=settings)
    own = RuntimeProfile(instances=1, token_budget=32, cpu=cpu_facts().as_json())
    artifact.write_report(RUNTIME_REPORT, own.as_json())
    report = bench([artifact], settings=settings)
    assert (report.results[0].profile["instances"], report.results[0].profile["token_budget"]) == (1, 32)
    with pytest.raises(UsageError, match="--token-budget: is for profile fixed"):
        bench([artifact], settings=settings_for(span_questions, profile="tuned", token_budget=64))
    other = own.model_copy(update={"cpu": {"model": "Other", "cores": 3}})
    artifact.write_report(RUNTIME_REPORT, other.as_json())
    with pytest.raises(UsageError, match="was tuned for Other with 3 cores, not for this CPU"):
        bench([artifact], settings=settings)


def test_openvino(make_span_artifact: Make, span_questions: Path) -> None:
    """OpenVINO runs the same artifact, and the report says in which precision."""
    pytest.importorskip("openvino")
    report = bench([make_span_artifact()], settings=settings_for(span_questions, runtime="openvino"))
    assert report.results[0].profile["runtime"] == "openvino"
    assert report.results[0].profile["precision"] in ("f32", "bf16", "f16")
    assert "openvino" in report.tools
