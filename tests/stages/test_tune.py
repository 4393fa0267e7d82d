"""tune finds the profile that is fastest, or keeps the default; its time is bounded and its order fixed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError, OutputError
from quantkit.recipe.settings import TuneSettings
from quantkit.report.profiles import tuned_runtimes
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.profile import RuntimeProfile
from quantkit.stages.tune import require_place, tune
from quantkit.stages.tune.machine import HeldRate, Machine, offline
from quantkit.stages.tune.space import key, profile_map, shapes, together, variations
from quantkit.stages.tune.trials import Found, Trials
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Reader

Make = Callable[..., Artifact]
BASE = RuntimeProfile(instances=4)


class FakeMachine:
    """Profiles with known speeds on a clock that moves by rows / speed; every visit is a little off."""

    def __init__(self, speed: Callable[[RuntimeProfile], float], noise: float = 0.0) -> None:
        self.speed, self.noise, self.now = speed, noise, 0.0
        self.visits: list[tuple[object, ...]] = []

    def measure(self, profile: RuntimeProfile, rows: int) -> float:
        """Let the time of a visit pass."""
        self.visits.append(key(profile))
        rate = self.speed(profile) * (1 + self.noise * ((7 * len(self.visits)) % 5 - 2))
        self.now += 0.05 + rows / rate
        return rate


def tried(machine: FakeMachine, *, budget: float = 120.0, **changes: Any) -> tuple[Trials, Found]:
    """Try profiles on four cores."""
    told: list[int] = []
    one = Trials(
        reference=BASE,
        measure=machine.measure,
        rows=1000,
        fewest=24,
        tokens=170.0,
        budget=budget,
        clock=lambda: machine.now,
        advance=told.append,
    )
    options: dict[str, Any] = {
        "cores": 4,
        "runtimes": ("onnxruntime",),
        "engines": ("threads", "processes"),
        "max_spread": 0.1,
    }
    found = one.run(**{**options, **changes})
    assert min(told) >= 0
    assert sum(told) <= budget
    return one, found


def hilly(profile: RuntimeProfile) -> float:
    """Return the speed of a profile: 512 tokens, two instances of two threads, equal lengths and no arena are best."""
    speed = 200.0 / (1 + abs(profile.token_budget - 512) / 2000)
    speed *= 1.3 if (profile.instances, profile.threads) == (2, 2) else 1.0
    return speed * (1.2 if profile.equal_lengths else 1.0) * (1.1 if not profile.arena else 1.0)


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_the_best_is_found(noise: float) -> None:
    """Shape and token budget from the map, and options that help together although tried alone."""
    one, found = tried(FakeMachine(hilly, noise))
    best = found.profile
    assert (
        best.instances,
        best.threads,
        best.token_budget,
        best.equal_lengths,
        best.arena,
    ) == (2, 2, 512, True, False)
    assert found.sure
    assert hilly(best) / hilly(BASE) == pytest.approx(found.ratios.median, rel=0.05)
    assert {trial.step for trial in one.done} == {"map", "map again", "options", "final"}


def test_nothing_surely_faster_keeps_the_default() -> None:
    """When all are the same but for noise, the default stays."""
    _, found = tried(FakeMachine(lambda _: 200.0, noise=0.03))
    assert (found.profile, found.sure) == (BASE, False)


def test_time_is_bounded() -> None:
    """A slow model is tried with fewer profiles and short passes, and the trials end near its budget."""
    machine = FakeMachine(lambda profile: hilly(profile) / 40)
    one, found = tried(machine)
    assert machine.now < 3 * 120
    assert len(one.done) >= 3
    assert found.qps > 0


def test_order_is_fixed() -> None:
    """The same machine gives the same visits in the same order."""
    first, second = FakeMachine(hilly, 0.01), FakeMachine(hilly, 0.01)
    tried(first)
    tried(second)
    assert first.visits == second.visits


def test_what_cannot_run_is_no_candidate() -> None:
    """A profile that raises is left out and reported once; the trials go on."""
    machine = FakeMachine(hilly)

    def measure(profile: RuntimeProfile, rows: int) -> float:
        if profile.equal_lengths:
            raise ArtifactError("x: has no mask to leave out")
        return FakeMachine.measure(machine, profile, rows)

    machine.measure = measure  # type: ignore[method-assign]
    one, found = tried(machine)
    assert not found.profile.equal_lengths
    assert {skipped.reason for skipped in one.skipped} == {"x: has no mask to leave out"}
    profiles = [tuple(skipped.profile.values()) for skipped in one.skipped]
    assert len(profiles) == len(set(profiles)) >= 1


def test_space() -> None:
    """Shapes use all cores, or half of many; budgets fit; a variation changes what it says and nothing else."""
    assert shapes(1) == [(1, 1)]
    assert shapes(2) == [(2, 1), (1, 2)]
    assert shapes(4) == [(4, 1), (2, 2), (1, 4), (2, 1), (1, 2)]
    small = profile_map(BASE, cores=2, runtimes=("onnxruntime", "openvino"), largest=600)
    assert {(profile.token_budget, profile.instances) for profile in small} == {
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 1),
    }
    varied = list(variations(BASE, ("threads", "processes")))
    assert all(key(other) != key(BASE) for other in varied)
    assert not any(other.engine == "processes" for other in variations(BASE, ("threads",)))
    both = together(BASE, [varied[0], varied[-1]])
    assert (both.equal_lengths, both.arena) == (True, False)


def test_machine_keeps_engines(make_encoder_artifact: Make, span_questions: Path) -> None:
    """Profiles that differ in their batches share an engine, and all are closed in the end."""
    artifact = make_encoder_artifact()
    prepared = Reader.of(artifact).prepare(load(str(span_questions), "squad"))
    profile = RuntimeProfile(instances=1, token_budget=64)
    machine = Machine(artifact.model_path, prepared, offline, profile, model_bytes=2_000_000_000)
    with machine:
        for changes in ({}, {"token_budget": 128}, {"arena": False}, {"spinning": True}, {}):
            assert machine.measure(profile.model_copy(update=changes), 4) > 0
        assert len(machine._engines) == 2
    assert len(machine._engines) == 0


def test_held_rate(make_encoder_artifact: Make, span_questions: Path) -> None:
    """In the latency-bounded mode a profile's rate is what it holds; a bound below one question's time is refused."""
    artifact = make_encoder_artifact()
    prepared = Reader.of(artifact).prepare(load(str(span_questions), "squad"))
    path = artifact.model_path
    profile = RuntimeProfile(instances=1)
    with Machine(path, prepared, HeldRate(60.0, 0), profile, model_bytes=1) as machine:
        assert machine.measure(profile, 6) > 0
    with (
        Machine(path, prepared, HeldRate(1e-9, 0), profile, model_bytes=1) as machine,
        pytest.raises(Exception, match="more than the bound of 1e-06 ms"),
    ):
        machine.measure(profile, 6)


def test_tune(make_encoder_artifact: Make, span_questions: Path) -> None:
    """On a real, tiny model: a valid profile for this CPU with what was measured, and the artifact is untouched."""
    artifact = make_encoder_artifact()
    settings = TuneSettings(
        data=str(span_questions), budget=2.0, runtimes=("onnxruntime",), engines=("threads",)
    )
    tuned = tune(artifact, settings=settings)
    assert cpu_facts().as_json() == tuned.profile.cpu
    assert tuned.profile.fits(cpu_facts().as_json())
    assert artifact.digest == tuned.report.artifact == tuned.profile.measured["artifact"]
    assert tuned.report.chosen == {name: getattr(tuned.profile, name) for name in tuned.report.chosen}
    assert (1.0 if not tuned.report.sure else tuned.report.ratio) == tuned.report.ratio
    assert set(tuned_runtimes(tuned.report)) == {"onnxruntime"}
    assert not artifact.report_path("runtime.json").exists()


def test_place(make_artifact: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A published or read-only artifact is refused before time is spent; the message names -o."""
    artifact = make_artifact(tmp_path / "a")
    require_place(artifact)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(OutputError, match="cannot be written; write the profile elsewhere with -o FILE"):
        require_place(artifact)
    sealed = artifact.manifest.model_copy(update={"reports": dict(artifact.manifest.files)})
    with pytest.raises(OutputError, match="is a published artifact, whose reports are sealed"):
        require_place(Artifact(path=artifact.path, manifest=sealed))
