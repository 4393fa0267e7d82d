"""Instances on the nodes of an existing Ray cluster.

    submit ──> waiting ──> actor on some node ──> answer ──> future

Each instance is an actor with one session; a thread of this process gives it batches, two at a time so that it never
waits for the network, and takes its answers. Batches stay whole, and all nodes must have this machine's kernels and
versions, so an answer is the same to the last bit wherever it comes from.

When an actor ends without being asked to (killed, out of memory, its node is gone), the batches it had not answered
wait again, first in line, for any instance; another actor is started in its place, and where there is no place any
more the others go on without it. A batch that was first in line when `MOST_DEATHS` actors ended is an error that names
it. Ray's own retries are off: it would repeat a batch that kills its actor without telling anybody.
"""

import logging
import shutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantkit.cluster.actor import Actor, ActorDied, NoStart, Shipment
from quantkit.cluster.cluster import Seats, connect, files_of
from quantkit.cluster.instance import Opening
from quantkit.errors import EvaluationError, QuantkitError, UsageError
from quantkit.runtime.engine.engine import WAITING, BatchFailed, describe
from quantkit.runtime.engine.model import Model
from quantkit.runtime.engine.queued import Failed, QueuedEngine, Task, fail
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.session import SessionOptions

MOST_DEATHS = 3
"""So often at most a batch is run that actors end in."""
_STARTS = 3  # attempts to start an actor again, one after the other
_AT_ONCE = 32  # actors that are started at the same time
_LOG = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True, slots=True)
class _Instance:
    """A seat and its last actor; `flying` are its batches, each with the reference to its answer."""

    seat: int
    actor: Actor
    flying: deque[tuple[Task, Any]] = field(default_factory=deque)
    ran: float = 0.0


class RayEngine(QueuedEngine):
    """Actors, each with one session; see `Engine`."""

    def __init__(
        self, ray: Any, opening: Opening, seats: Seats, *, profile: RuntimeProfile, folder: Path
    ) -> None:
        """Start an actor for each seat.

        Args:
            ray: the module, connected.
            opening: what each opens.
            seats: reserved for it; given back when it is closed.
            profile: how many, and whether a batch with padding is refused.
            folder: what was written for it; it goes when it is closed.

        Raises:
            QuantkitError: the model cannot be opened, a node has other kernels or versions than this machine, or an
                actor does not come up.
        """
        super().__init__(opening.name, workers=profile.instances, equal_lengths=profile.equal_lengths)
        self._ray = ray
        self._shipment = Shipment(ray, opening)
        self._seats = seats
        self._folder = folder
        self.restarts = 0
        self._left = self.workers
        self._instances = [
            _Instance(seat=seat, actor=Actor(ray, seats, seat)) for seat in range(self.workers)
        ]
        self.outputs, self.by_position = self._prepare_all()
        self._start_threads(self._serve, self._instances, name="quantkit-ray")

    @property
    def ran_seconds(self) -> float:
        """Seconds inside the runtime, over all instances."""
        return sum(instance.ran for instance in self._instances)

    @property
    def actors(self) -> list[Actor]:
        """The last actor of each instance."""
        with self._lock:
            return [instance.actor for instance in self._instances]

    def close(self, *, abandon: bool = False) -> None:
        """End the actors; see `Engine.close`."""
        with self._lock:
            lost = self._stop_taking(abandon=abandon)
        if abandon:
            self._kill_all()
        fail((task, self._was_closed()) for task in lost)
        with self._lock:
            while self._unanswered:
                self._changed.wait()
            self._ending = True
            self._changed.notify_all()
        # Also those that are still coming up.
        self._kill_all()
        for thread in self._threads:
            thread.join()
        self._clear()

    def _prepare_all(self) -> tuple[tuple[str, ...], tuple[bool, ...]]:
        """Let all actors open the model, and return what `Actor.prepare` does; all are ended when one fails."""
        starters = ThreadPoolExecutor(min(self.workers, _AT_ONCE), thread_name_prefix="quantkit-ray-start")
        try:
            answers = [starters.submit(entry.actor.prepare, self._shipment) for entry in self._instances]
            return [answer.result() for answer in answers][-1]
        except NoStart as error:
            self._clear()
            raise EvaluationError(f"{self.name}: {error}") from None
        except BaseException:
            self._clear()
            raise
        finally:
            starters.shutdown(cancel_futures=True)

    def _dispatch(self) -> list[Failed]:
        """Tell the threads of the instances, who take what waits; see `QueuedEngine`."""
        self._changed.notify_all()
        return []

    def _serve(self, instance: _Instance) -> None:
        """Give an instance batches and take its answers, and replace it when it ends, until the engine ends."""
        while self._wait_for_work(instance):
            self._give(instance)
            if not instance.flying:
                continue
            try:
                answer = instance.actor.answer(instance.flying[0][1])
            except ActorDied as death:
                if not self._replace(instance, str(death)):
                    return
            else:
                self._take(instance, answer)

    def _wait_for_work(self, instance: _Instance) -> bool:
        """Wait while an instance has nothing to do; return False when the engine ends."""
        with self._lock:
            while not (self._ending or instance.flying or self._waiting):
                self._changed.wait()
            return bool(instance.flying) or not self._ending

    def _give(self, instance: _Instance) -> None:
        """Send waiting batches to an instance until it has two."""
        taken: list[Task] = []
        with self._lock:
            while self._waiting and len(instance.flying) + len(taken) < WAITING:
                task = self._waiting.popleft()
                if task.begin():
                    taken.append(task)
        for task in taken:
            try:
                instance.flying.append((task, instance.actor.send(task.feeds)))
            except QuantkitError as error:
                fail([(task, EvaluationError(f"{self.name}: {describe(task.feeds)}: {error}"))])

    def _take(self, instance: _Instance, answer: dict[str, Any]) -> None:
        """Set the future of the first batch in flight, after giving the instance its next."""
        task, _ = instance.flying.popleft()
        instance.ran += answer["ran"]
        self._give(instance)
        if "outputs" in answer:
            task.future.set_result(tuple(answer["outputs"]))
        else:
            task.future.set_exception(self._error(task, answer))

    def _replace(self, instance: _Instance, death: str) -> bool:
        """Give an instance's batches back and start another actor; return False when this seat has none any more."""
        instance.actor.kill()
        lost = [task for task, _ in instance.flying]
        instance.flying.clear()
        failed: list[Failed] = []
        with self._lock:
            ending = self._ending
            if ending:
                failed = [(task, self._was_closed()) for task in lost]
            else:
                lost[0].deaths += 1
                if lost[0].deaths >= MOST_DEATHS:
                    failed = [(lost[0], _killer(self.name, lost[0], death))]
                    lost = lost[1:]
                self._waiting.extendleft(reversed(lost))
                self._changed.notify_all()
        fail(failed)
        if ending:
            return False
        _LOG.warning("%s: an instance on Ray ended (%s); its batches go to another", self.name, death)
        return self._start_again(instance)

    def _start_again(self, instance: _Instance) -> bool:
        """Start another actor for a seat; return False when there will be none."""
        fault = ""
        for _ in range(_STARTS):
            with self._lock:
                if self._ending:
                    return False
                # Known to `close` from its first moment, so that it is ended like any other.
                instance.actor = Actor(self._ray, self._seats, instance.seat)
            try:
                instance.actor.prepare(self._shipment)
            except (NoStart, QuantkitError) as error:
                instance.actor.kill()
                fault = str(error)
            else:
                with self._lock:
                    self.restarts += 1
                return True
        self._give_up(fault)
        return False

    def _give_up(self, fault: str) -> None:
        """Go on without an instance; without any, what waits fails, and nothing more is taken."""
        lost: list[Task] = []
        with self._lock:
            if self._ending:
                return
            self._left -= 1
            if not self._left:
                self._fault = f"{self.name}: no instance is left on the Ray cluster; {fault}"
                lost = list(self._waiting)
                self._waiting.clear()
            left = self._left
        _LOG.warning("%s: goes on with %d instances on Ray: %s", self.name, left, fault)
        fail((task, EvaluationError(self._fault or fault)) for task in lost)

    def _kill_all(self) -> None:
        for actor in self.actors:
            actor.kill()

    def _clear(self) -> None:
        """Let go of actors, cores and files."""
        self._kill_all()
        self._seats.release()
        shutil.rmtree(self._folder, ignore_errors=True)


def open_ray(model: Model) -> RayEngine:
    """Open the instances of a profile on the cluster at its address; see `open_engine`."""
    profile = model.profile
    if profile.pinned:
        raise UsageError(
            "engine ray: cannot pin instances to cores; choose engine processes, or leave pinned out"
        )
    ray = connect(profile.where.address)
    opening = Opening(
        files=files_of(model.path, model.name),
        outputs=model.outputs,
        runtime=profile.runtime,
        threads=profile.threads,
        options=SessionOptions(spinning=profile.spinning, arena=profile.arena, exact_int8=profile.exact_int8),
        name=model.name,
        reduction=model.reduction,
    )
    seats = Seats.reserve(ray, instances=profile.instances, threads=profile.threads)
    return RayEngine(ray, opening, seats, profile=profile, folder=model.folder)


def _killer(name: str, task: Task, death: str) -> BatchFailed:
    return BatchFailed(
        name,
        describe(task.feeds),
        f"{MOST_DEATHS} instances on Ray ended ({death}) while they ran {{batch}}",
        "give the nodes more memory, or choose a smaller token budget",
    )
