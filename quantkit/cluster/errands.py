"""Errands: work that needs more than a session, done by a few workers on a cluster, each with a share of its cores."""

import os
import queue
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantkit.cluster.actor import Actor, ActorDied, NoStart, Shipment
from quantkit.cluster.cluster import Seats, connect, files_of, shares
from quantkit.cluster.errand import Kit, RayWorker, Workplace
from quantkit.errors import EvaluationError, QuantkitError, UsageError
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine.child import mistake
from quantkit.runtime.session import SessionOptions

MOST_DEATHS = 3
"""So often at most an errand is begun on a worker that ends."""
_STARTS = 3
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True, slots=True)
class Errands:
    """Does errands on the cluster at an address.

    Attributes:
        address: of the cluster; None for `$RAY_ADDRESS`, or the one on this machine.
        name: what messages call the errands.
    """

    address: str | None
    name: str

    def __call__(
        self, model: Path, kit: Kit, errands: Sequence[Any]
    ) -> Generator[tuple[int, Any], None, None]:
        """Do errands, and yield the number of each with what came of it, or its error, as soon as it is done.

        Args:
            model: a file that every worker begins with.
            kit: what they need beside it, pickled.
            errands: none depends on another; pickled.

        Raises:
            UsageError: there is no such cluster, or a node has other kernels or versions than this machine.
            EvaluationError: its cores are taken by others, or no worker comes up.
        """
        ray = connect(self.address)
        workers, threads = shares(ray, len(errands))
        place = Workplace(
            files=files_of(model, self.name),
            outputs=(),
            runtime="onnxruntime",
            threads=threads,
            options=SessionOptions(),
            name=self.name,
            kit=kit,
        )
        seats = Seats.reserve(ray, instances=workers, threads=threads)
        line = _Line(ray=ray, shipment=Shipment(ray, place), seats=seats, errands=errands)
        try:
            yield from line.done(workers)
        finally:
            line.end()
            seats.release()


@dataclass(eq=False, kw_only=True, slots=True)
class _Line:
    """Errands in line, and the threads that give them to workers, one each."""

    ray: Any
    shipment: Shipment
    seats: Seats
    errands: Sequence[Any]
    _waiting: deque[int] = field(default_factory=deque)
    _deaths: Counter[int] = field(default_factory=Counter)
    _nodes: Counter[str] = field(default_factory=Counter)
    _actors: dict[int, Actor] = field(default_factory=dict)
    _told: queue.SimpleQueue[tuple[int | None, Any]] = field(default_factory=queue.SimpleQueue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)
    _ending: bool = False

    def done(self, workers: int) -> Iterator[tuple[int, Any]]:
        """Yield the number of each errand with what came of it.

        Raises:
            QuantkitError: no worker is left for those in line.
        """
        self._waiting.extend(range(len(self.errands)))
        for seat in range(workers):
            self._threads.append(
                threading.Thread(target=self._serve, args=(seat,), name="quantkit-ray", daemon=True)
            )
            self._threads[-1].start()
        missing = len(self.errands)
        fault: QuantkitError | None = None
        while missing:
            number, answer = self._told.get()
            if number is not None:
                missing -= 1
                yield number, answer
                continue
            workers -= 1
            fault = answer or fault
            # Of a node of another kind, as any engine on the cluster says it; else only when nobody is left.
            if isinstance(answer, UsageError) or (fault is not None and not workers):
                raise fault

    def end(self) -> None:
        """End the workers, whatever they do."""
        with self._lock:
            self._ending = True
            actors = list(self._actors.values())
        for actor in actors:
            actor.kill()
        for thread in self._threads:
            thread.join()

    def _serve(self, seat: int) -> None:
        """Give one worker errands until none waits; say in the end why it had to stop, if it had to."""
        fault: QuantkitError | None = None
        actor: Actor | None = None
        try:
            while (number := self._next()) is not None:
                try:
                    actor = actor or self._started(seat)
                except QuantkitError as error:
                    fault = error
                    self._again(number)
                    return
                try:
                    answer = actor.answer(actor.handle.do.remote(self.errands[number]))
                except ActorDied as death:
                    actor.kill()
                    actor = None
                    self._died(number, str(death))
                else:
                    self._told.put((number, self._read(answer)))
        except BaseException as error:  # noqa: BLE001 - raised where the answers are waited for
            fault = QuantkitError(f"{self.shipment.opening.name}: {error}")
        finally:
            self._told.put((None, fault))

    def _next(self) -> int | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting and not self._ending else None

    def _again(self, number: int) -> None:
        with self._lock:
            self._waiting.appendleft(number)

    def _died(self, number: int, death: str) -> None:
        """Put an errand back in line whose worker ended, unless that came too often."""
        self._deaths[number] += 1
        if self._deaths[number] < MOST_DEATHS:
            self._again(number)
            return
        self._told.put(
            (
                number,
                EvaluationError(
                    f"{self.shipment.opening.name}: {MOST_DEATHS} workers on Ray ended ({death}); "
                    "give the nodes more memory"
                ),
            )
        )

    def _started(self, seat: int) -> Actor:
        """Return a worker that is ready.

        Raises:
            UsageError: its node has other kernels or versions than this machine.
            EvaluationError: none comes up.
        """
        fault = ""
        for _ in range(_STARTS):
            with self._lock:
                if self._ending:
                    break
                actor = Actor(self.ray, self.seats, seat, kind=RayWorker, environment=_as_many_threads())
                self._actors[seat] = actor
            try:
                actor.prepare(self.shipment)
                with self._lock:
                    place = self._nodes[actor.node]
                    self._nodes[actor.node] += 1
                actor.answer(actor.handle.take.remote(place, self.shipment.opening.threads))
            except (NoStart, ActorDied) as error:
                actor.kill()
                fault = str(error)
            else:
                return actor
        raise EvaluationError(
            f"{self.shipment.opening.name}: no worker is left on the Ray cluster; {fault or 'it was closed'}"
        )

    def _read(self, answer: dict[str, Any]) -> Any:
        if "gave" in answer:
            return answer["gave"]
        if "mistake" in answer:
            return mistake(answer)
        return RuntimeError(answer.get("broken") or answer["refused"])


def _as_many_threads() -> dict[str, str]:
    """Return the variables by which matrix products are cut as on this machine: their last digits depend on it."""
    given = next((os.environ[name] for name in _THREADS if os.environ.get(name)), str(cpu_facts().cores))
    return dict.fromkeys(_THREADS, given)
