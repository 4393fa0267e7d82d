"""Errands on a cluster: which worker is given which, and what happens when one ends."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quantkit.cluster import cluster as cluster_module
from quantkit.cluster import errands as module
from quantkit.cluster.actor import ActorDied, NoStart
from quantkit.cluster.errands import Errands
from quantkit.errors import DatasetError, EvaluationError, UsageError

Doing = Callable[[int, Any], Mapping[str, Any]]
"""What a worker makes of an errand, by its seat; `ActorDied` where it ends."""


class Workers:
    """Workers that are threads of this process, and what became of them."""

    def __init__(self, do: Doing, prepare: Callable[[int], None] = lambda _: None) -> None:
        self.do, self.prepare = do, prepare
        self.started: list[int] = []
        self.killed: list[int] = []
        self.places: list[tuple[int, int]] = []

    def actor(self, _: Any, __: Any, seat: int, *, kind: Any) -> Any:
        """Start one."""
        del kind
        self.started.append(seat)
        do = SimpleNamespace(remote=lambda errand: lambda: self.do(seat, errand))
        take = SimpleNamespace(remote=lambda *taken: lambda: self.places.append(taken))
        return SimpleNamespace(
            machine="one",
            handle=SimpleNamespace(do=do, take=take),
            prepare=lambda _: self.prepare(seat),
            answer=lambda reference: reference(),
            kill=lambda: self.killed.append(seat),
        )


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Iterator[tuple[int, Any]]]:
    """Return what begins errands on two of such workers, with three cores each."""
    seats = SimpleNamespace(reserve=lambda *_, **__: SimpleNamespace(release=lambda: None))
    monkeypatch.setattr(module, "connect", lambda _: None)
    monkeypatch.setattr(module, "shares", lambda *_: (2, 3))
    monkeypatch.setattr(module, "files_of", lambda *_: ())
    monkeypatch.setattr(module, "Seats", seats)

    def begun(workers: Workers, errands: list[Any]) -> Iterator[tuple[int, Any]]:
        monkeypatch.setattr(module, "Actor", workers.actor)
        kit: Any = None
        return Errands(address=None, name="search")(Path("model.onnx"), kit, errands)

    return begun


def test_each_once(begin: Callable[..., Iterator[tuple[int, Any]]]) -> None:
    """All errands are done once, by workers that each have cores of their own, and end with the last."""
    workers = Workers(lambda _, errand: {"gave": errand + 1})
    assert sorted(begin(workers, [10, 20, 30, 40, 50])) == [(0, 11), (1, 21), (2, 31), (3, 41), (4, 51)]
    assert sorted(workers.places) == [(0, 3), (1, 3)]
    assert sorted(workers.killed) == [0, 1]


def test_what_fails_is_told(begin: Callable[..., Iterator[tuple[int, Any]]]) -> None:
    """An error of an errand comes in place of what it gives, a user's mistake as itself; the others are done."""
    answers: list[Mapping[str, Any]] = [
        {"mistake": ["DatasetError", "no"]},
        {"broken": "a trace"},
        {"gave": 7},
    ]
    workers = Workers(lambda _, errand: answers[errand])
    found = dict(begin(workers, [0, 1, 2]))
    assert (type(found[0]), str(found[0])) == (DatasetError, "no")
    assert (type(found[1]), str(found[1])) == (RuntimeError, "a trace")
    assert found[2] == 7


def test_a_seat_that_is_lost(
    begin: Callable[..., Iterator[tuple[int, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    """Where a worker ends and none comes up in its place, another that had nothing to do any more does its errand."""
    lost = threading.Event()

    def do(seat: int, errand: int) -> Mapping[str, Any]:
        if errand == 0 and not lost.is_set():
            lost_seat.append(seat)
            lost.set()
            raise ActorDied("its node is gone")
        return {"gave": seat}

    def prepare(seat: int) -> None:
        if lost.is_set() and seat in lost_seat:
            raise NoStart("no place")

    lost_seat: list[int] = []
    workers = Workers(do, prepare)
    found = dict(begin(workers, [0, 1]))
    assert found[0] == 1 - lost_seat[0]
    assert set(found) == {0, 1}
    assert "a worker on Ray ended (its node is gone); its work goes to another" in caplog.text


def test_an_errand_that_workers_end_in(begin: Callable[..., Iterator[tuple[int, Any]]]) -> None:
    """It is begun three times, then an error that says so; the other one is done."""

    def do(_: int, errand: int) -> Mapping[str, Any]:
        if errand:
            return {"gave": "well"}
        begun.append(errand)
        raise ActorDied("out of memory")

    begun: list[int] = []
    found = dict(begin(Workers(do), [0, 1]))
    assert found[1] == "well"
    assert isinstance(found[0], EvaluationError)
    assert str(found[0]) == "search: 3 workers on Ray ended (out of memory); give the nodes more memory"
    assert len(begun) == 3


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NoStart("not there"), "search: no worker is left on the Ray cluster; not there"),
        (UsageError("other kernels"), "other kernels"),
    ],
)
def test_no_worker(begin: Callable[..., Iterator[tuple[int, Any]]], error: Exception, line: str) -> None:
    """Without any worker, or with one whose results would differ, there is one line."""

    def prepare(_: int) -> None:
        raise error

    with pytest.raises((EvaluationError, UsageError)) as raised:
        list(begin(Workers(lambda *_: {}, prepare), [0, 1]))
    assert str(raised.value) == line


def test_closed_at_work(begin: Callable[..., Iterator[tuple[int, Any]]]) -> None:
    """Who stops in the middle, as by Ctrl-C, ends the workers at once, and no errand is begun any more."""
    killed, begun = threading.Event(), list[int]()

    def do(_: int, errand: int) -> Mapping[str, Any]:
        begun.append(errand)
        if errand == 0:
            return {"gave": 0}
        killed.wait(60)
        raise ActorDied("was killed")

    class Killed(Workers):
        def actor(self, *given: Any, **named: Any) -> Any:
            made = super().actor(*given, **named)
            made.kill = killed.set
            return made

    done: Any = begin(Killed(do), list(range(9)))
    assert next(done) == (0, 0)
    done.close()
    assert killed.is_set()
    assert len(begun) <= 3


def kit() -> Any:
    """Return a kit of a class that travels by value: nodes do not have this file."""

    class Kit:
        def begin(self, model: Path) -> bytes:
            return model.read_bytes()

        def do(self, begun: bytes, errand: tuple[str, Path]) -> Any:
            import os
            import signal
            import time

            import ray

            from quantkit.errors import UsageError
            from quantkit.runtime.cpu import cpu_facts

            what, folder = errand
            mine = folder / f"{what}-{os.getpid()}"
            first = not list(folder.glob(f"{what}-*"))
            mine.touch()
            if what == "mistake":
                raise UsageError("it is wrong")
            if what == "deadly" and first:
                os.kill(os.getpid(), signal.SIGKILL)
            while what == "meet" and len(list(folder.glob("meet-*"))) < 2:
                time.sleep(0.1)
            if what == "long":
                time.sleep(3600)
            node = ray.get_runtime_context().get_node_id()
            return {"node": node, "pid": os.getpid(), "cores": cpu_facts().cores, "model": begun}

    return Kit()


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.filterwarnings("ignore")
def test_on_a_cluster(address: str, save_encoder: Any, tmp_path: Path) -> None:
    """Errands are done by a process on each node, one core each; another does what a killed one was at."""
    import ray

    path, sigterm = save_encoder(), signal.getsignal(signal.SIGTERM)
    asked = [(what, tmp_path) for what in ("meet", "meet", "deadly", "mistake")]
    found = dict(Errands(address=address, name="search")(path, kit(), asked))
    assert (type(found[3]), str(found[3])) == (UsageError, "it is wrong")
    done = [found[number] for number in range(3)]
    assert {one["node"] for one in done[:2]} == {node["NodeID"] for node in ray.nodes()}
    assert len({os.getpid(), *(one["pid"] for one in done[:2])}) == 3
    assert [one["cores"] for one in done] == [1, 1, 1]
    assert {one["model"] for one in done} == {path.read_bytes()}
    assert len(list(tmp_path.glob("deadly-*"))) == 2
    # Ray would take it for itself.
    assert signal.getsignal(signal.SIGTERM) is sigterm


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.filterwarnings("ignore")
def test_interrupted(address: str, save_encoder: Any, tmp_path: Path) -> None:
    """Ctrl-C ends the workers on the cluster, whatever they are at, and gives the cores back."""

    def interrupt() -> None:
        while not list(tmp_path.glob("long-*")):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        list(Errands(address=address, name="search")(save_encoder(), kit(), [("long", tmp_path)]))
    (begun,) = tmp_path.glob("long-*")
    pid = int(begun.name.partition("-")[2])
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the worker is still there after a minute")
    assert cluster_module._RESERVED == {}
