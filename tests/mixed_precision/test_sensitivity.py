"""Sensitivity: what is measured together when time is short, and how the damage is shared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.allocation.journal import Journal
from quantkit.errors import UsageError
from quantkit.exam.marks import Marks
from quantkit.mixed_precision import sensitivity
from quantkit.mixed_precision.groups import Group
from quantkit.mixed_precision.noise import Noise
from quantkit.mixed_precision.options import STATIC, Rated
from quantkit.mixed_precision.sensitivity import bundled, damages_of

KINDS = ("attention.self.*", "intermediate.dense", "output.dense")


def group(name: str, kind: str, *, inputs: int = 8) -> Group:
    return Group(
        name=name,
        layers=(name,),
        kind=kind,
        tensor=f"{name}.x",
        inputs=inputs,
        outputs=(8,),
        pooled=False,
        foldable=False,
    )


def encoder(layers: int) -> list[Group]:
    """Return three groups a layer, in graph order, and a head."""
    inside = [group(f"layer.{number}.{kind}", kind) for number in range(layers) for kind in KINDS]
    return [*inside, group("head", "head", inputs=16)]


@given(layers=st.integers(1, 12), most=st.integers(-3, 60))
def test_bundles(layers: int, most: int) -> None:
    """Every group is in one bundle, bundles are neighbours of one kind, never more than `most`, None when too few."""
    groups = encoder(layers)
    found = bundled(groups, most=most)
    if found is None:
        assert most < len(KINDS) + 1
        return
    assert len(found) <= most
    names = [member.name for bundle in found for member in bundle]
    assert sorted(member.name for member in groups) == sorted(names)
    for bundle in found:
        assert len({member.kind for member in bundle}) == 1
        same_kind = [member.name for member in groups if member.kind == bundle[0].kind]
        start = same_kind.index(bundle[0].name)
        assert same_kind[start : start + len(bundle)] == [member.name for member in bundle]
    if most >= len(groups):
        assert len(groups) == len(found)


def test_kinds_are_cut_evenly() -> None:
    """No bundle is longer than another of its kind by more than one."""
    found = bundled(encoder(7), most=10)
    assert found is not None
    for kind in KINDS:
        sizes = [len(bundle) for bundle in found if bundle[0].kind == kind]
        assert len(sizes) == 3
        assert max(sizes) - min(sizes) <= 1


class Bench:
    """A workbench and an exam in which the damage of a model is the sum over its quantized groups."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, groups: list[Group], pass_seconds: float) -> None:
        self.groups = tuple(groups)
        self.artifact = None
        self.measured: list[tuple[str, ...]] = []
        self.now = 0.0
        self.pass_seconds = pass_seconds
        monkeypatch.setattr("quantkit.allocation.journal.time.monotonic", lambda: self.now)
        bench = self

        class FakeExam:
            def __init__(
                self, artifact: object, dataset: "Questions", *options: object, **more: object
            ) -> None:
                self.dataset = dataset

            def open(self, path: tuple[str, ...]) -> tuple[str, ...]:
                return path

            def sit(self, session: tuple[str, ...]) -> Marks:
                bench.measured.append(session)
                bench.now += bench.pass_seconds * len(self.dataset.questions) / 8
                low = 1 - 0.001 * len(session)
                return Marks(
                    divergence=0.001 * len(session),
                    changed=0.25,
                    score=80.0,
                    ratio=low,
                    expected_ratio=low,
                    expected_ratio_low=low,
                )

        monkeypatch.setattr(sensitivity, "Exam", FakeExam)

    def built(self, chosen: dict[str, object]) -> "Built":
        """Return a context whose path is the names of what is quantized."""
        return Built(tuple(chosen))


class Built:
    """A context that gives what it was made of."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def __enter__(self) -> tuple[str, ...]:
        return self.names

    def __exit__(self, *error: object) -> None:
        pass


class Questions:
    """As much of a dataset and of a calibration set as is asked for."""

    def __init__(self, count: int) -> None:
        self.questions = tuple(range(count))

    @property
    def dataset(self) -> "Questions":
        """Return itself."""
        return self

    def limit(self, count: int) -> "Questions":
        """Return the first of them."""
        return Questions(min(count, len(self.questions)))


def references(groups: tuple[Group, ...]) -> dict[str, Rated]:
    """Return references whose relative noise is 1, 2, 3 and so on."""
    return {
        member.name: Rated(choice=STATIC, noise=Noise(noise=float(place + 1), signal=1.0))
        for place, member in enumerate(groups)
    }


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch):
    """Return a function that measures an encoder of four layers within so many seconds, a second for 8 questions."""

    def run(
        seconds: float, *, budget: float = 100.0, key: str = "key", bench: Bench | None = None, **options: int
    ):
        bench = bench or Bench(monkeypatch, encoder(4), 1.0)
        found, count = damages_of(
            bench,
            references(bench.groups),
            Questions(100),
            Journal(key),
            seconds=seconds,
            budget=budget,
            **options,
        )
        return bench, found, count

    return run


def test_time_enough_for_each_alone(measure) -> None:
    """With much time every group is measured alone, on as many questions as may be."""
    bench, found, count = measure(1e4)
    assert count == 100
    assert [member.name for member in bench.groups] == list(found)
    assert {(damage.divergence, damage.together) for damage in found.values()} == {(0.001, ())}
    # One more finds out how long a pass takes.
    assert len(bench.groups) + 1 == len(bench.measured)


def test_less_time_means_fewer_questions(measure) -> None:
    """Before groups are measured together, fewer questions are asked; most_questions is never exceeded."""
    _, found, count = measure(14 * 3.5)
    assert count == 28
    assert measure(1e4, key="other", most_questions=20)[2] == 20
    assert {damage.together for damage in found.values()} == {()}


def test_little_time_means_together(measure) -> None:
    """Neighbours that were measured together share the damage by their noise, and say with whom."""
    _, found, count = measure(9.0)
    assert count == 8
    first, second = found["layer.0.attention.self.*"], found["layer.1.attention.self.*"]
    assert first.together == ("layer.1.attention.self.*",)
    assert second.together == ("layer.0.attention.self.*",)
    assert first.divergence + second.divergence == pytest.approx(0.002, rel=1e-12)
    # Groups number 1 and 4.
    assert second.divergence / first.divergence == pytest.approx(4.0, rel=1e-12)
    total = sum(damage.divergence for damage in found.values())
    assert total == pytest.approx(0.013, rel=1e-12)


def test_no_time_is_an_error_with_what_is_needed(measure) -> None:
    """The line says how long one pass over each kind takes; four kinds and the first pass are 5 seconds."""
    with pytest.raises(UsageError, match=r"^--budget: 4 s of it are left .* takes 5 s; raise it"):
        measure(4.0)


def test_goes_on_where_it_was(measure, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run measures nothing, also when more or less of the same budget is left."""
    first, expected, count = measure(14 * 3.5)
    second, found, again = measure(14 * 3.9)
    assert (expected, count) == (found, again)
    assert second.measured == []
    assert len(first.measured) == 14


def test_another_budget_may_ask_more(measure) -> None:
    """Who gives more time gets more questions."""
    assert measure(14 * 3.5)[2] == 28
    assert measure(14 * 7.0, budget=200.0)[2] == 56


def test_interrupted_search_measures_the_rest(measure, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured before Ctrl-C is not measured again, and nothing is missing."""
    groups = encoder(4)
    bench = Bench(monkeypatch, groups, 1.0)
    built, limit = bench.built, 5

    def interrupt(chosen: dict[str, object]) -> Built:
        if len(bench.measured) >= limit:
            raise KeyboardInterrupt
        return built(chosen)

    monkeypatch.setattr(bench, "built", interrupt)
    with pytest.raises(KeyboardInterrupt):
        measure(1e4, bench=bench)
    rest, found, _ = measure(1e4)
    assert len(groups) + 1 == limit + len(rest.measured)
    assert len(groups) == len(found)


def test_groups_without_noise_share_alike(measure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no group has noise the damage is divided evenly."""
    bench = Bench(monkeypatch, encoder(4), 1.0)
    quiet = {
        name: Rated(choice=STATIC, noise=Noise(noise=0.0, signal=1.0)) for name in references(bench.groups)
    }
    found, _ = damages_of(bench, quiet, Questions(100), Journal("key"), seconds=9.0, budget=9.0)
    assert {round(damage.divergence, 12) for damage in found.values()} == {0.001}
