"""Errands: work that needs more than a session, done by a few workers on a cluster, each with a share of its cores.

An errand whose worker ends is first in line again, for whichever worker is free; another worker is started in its
place, and where there is no place any more the others go on. One in which `MOST_DEATHS` workers have ended is an error.
"""

import logging
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
from quantkit.runtime.engine.child import mistake
from quantkit.runtime.session import SessionOptions

MOST_DEATHS = 3
"""So often at most an errand is begun on a worker that ends."""
_STARTS = 3
_PACKAGES = ("quantkit", "numpy", "onnx", "onnx-ir")
_LOG = logging.getLogger(__name__)


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

        Closing the generator ends what is still at work.

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
            packages=_PACKAGES,
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
    _missing: int = 0
    _deaths: Counter[int] = field(default_factory=Counter)
    _actors: dict[int, Actor] = field(default_factory=dict)
    _places: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Of each seat, the machine it is on and its place among the seats there."""
    _told: queue.SimpleQueue[tuple[int | None, Any]] = field(default_factory=queue.SimpleQueue)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _threads: list[threading.Thread] = field(default_factory=list)
    _ending: bool = False

    def done(self, workers: int) -> Iterator[tuple[int, Any]]:
        """Yield the number of each errand with what came of it.

        Raises:
            QuantkitError: no worker is left for those in line.
        """
        self._waiting.extend(range(len(self.errands)))
        self._missing = missing = len(self.errands)
        for seat in range(workers):
            self._threads.append(
                threading.Thread(target=self._serve, args=(seat,), name="quantkit-ray", daemon=True)
            )
            self._threads[-1].start()
        while missing:
            number, answer = self._told.get()
            if number is not None:
                missing -= 1
                yield number, answer
                continue
            workers -= 1
            # Of a node of another kind, as any engine on the cluster says it; else only when nobody is left.
            if isinstance(answer, UsageError) or not workers:
                raise answer
            _LOG.warning("goes on with %d workers on Ray: %s", workers, answer)

    def end(self) -> None:
        """End the workers, whatever they do."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            actors = list(self._actors.values())
        for actor in actors:
            actor.kill()
        for thread in self._threads:
            thread.join()

    def _serve(self, seat: int) -> None:
        """Give one worker errands until all are done; say why it had to stop, if it had to."""
        try:
            actor = self._started(seat)
            while (number := self._next()) is not None:
                try:
                    answer = actor.answer(actor.handle.do.remote(self.errands[number]))
                except ActorDied as death:
                    actor.kill()
                    self._died(number, str(death))
                    actor = self._started(seat)
                else:
                    self._tell(number, _read(answer))
        except QuantkitError as error:
            self._told.put((None, error))
        except BaseException as error:  # noqa: BLE001 - raised where the answers are waited for
            self._told.put((None, QuantkitError(f"{self.shipment.opening.name}: {error}")))

    def _next(self) -> int | None:
        """Wait for an errand; None when there will be none."""
        with self._changed:
            while self._missing and not (self._waiting or self._ending):
                self._changed.wait()
            return self._waiting.popleft() if self._waiting and not self._ending else None

    def _tell(self, number: int, answer: Any) -> None:
        with self._changed:
            self._missing -= 1
            self._changed.notify_all()
        self._told.put((number, answer))

    def _died(self, number: int, death: str) -> None:
        """Put an errand back in line whose worker ended, unless that came too often."""
        name = self.shipment.opening.name
        with self._changed:
            if self._ending:
                return
            self._deaths[number] += 1
            again = self._deaths[number] < MOST_DEATHS
            if again:
                self._waiting.appendleft(number)
                self._changed.notify_all()
        if again:
            _LOG.warning("%s: a worker on Ray ended (%s); its work goes to another", name, death)
        else:
            fault = f"{name}: {MOST_DEATHS} workers on Ray ended ({death}); give the nodes more memory"
            self._tell(number, EvaluationError(fault))

    def _started(self, seat: int) -> Actor:
        """Return a worker that is ready.

        Raises:
            UsageError: its node has other kernels or versions than this machine.
            EvaluationError: none comes up.
        """
        fault = "it was closed"
        for _ in range(_STARTS):
            with self._changed:
                if self._ending:
                    break
                # Known to `end` from its first moment, so that it is ended like any other.
                actor = self._actors[seat] = Actor(self.ray, self.seats, seat, kind=RayWorker)
            try:
                actor.prepare(self.shipment)
                place = self._placed(seat, actor.machine)
                actor.answer(actor.handle.take.remote(place, self.shipment.opening.threads))
            except (NoStart, ActorDied) as error:
                actor.kill()
                fault = str(error)
            else:
                return actor
        raise EvaluationError(f"{self.shipment.opening.name}: no worker is left on the Ray cluster; {fault}")

    def _placed(self, seat: int, machine: str) -> int:
        """Return the first place on a machine that no other seat has."""
        with self._changed:
            taken = {place for other, place in self._places.items() if other != seat}
            place = next(place for place in range(len(taken) + 1) if (machine, place) not in taken)
            self._places[seat] = machine, place
            return place


def _read(answer: dict[str, Any]) -> Any:
    if "gave" in answer:
        return answer["gave"]
    if "mistake" in answer:
        return mistake(answer)
    return RuntimeError(answer.get("broken") or answer["refused"])
