"""Instances in processes of their own: each has its cores and its memory, and none can break another.

    submit ──> waiting ──> a block of the instance's shared memory ──> process ──> answer ──> future

An instance has at most two batches: the one it runs and the one that comes next, so it never waits for its parent. A
thread of the parent listens to each instance. When an instance ends without being asked to (killed, out of memory),
its thread reads what was already answered, starts another, and the batches that were not answered wait again, first
in line. A batch that was being run when two instances ended is not tried a third time: it is an error that names it.
(Which one was being run is written in shared memory, where it stays when the process goes.)

So each batch is answered exactly once: its future is set where its answer is read, and only a batch whose instance is
known to be gone, and whose answers were all read, is given to another.
"""

import logging
import shutil
from dataclasses import replace
from typing import Any

from quantkit.errors import EvaluationError, OutputError, QuantkitError, UsageError
from quantkit.runtime.engine.child import ChildDied
from quantkit.runtime.engine.engine import BatchFailed, describe
from quantkit.runtime.engine.instances import Instance
from quantkit.runtime.engine.model import Model
from quantkit.runtime.engine.queued import Failed, QueuedEngine, Task, fail
from quantkit.runtime.footprint import footprint
from quantkit.runtime.session import Arrays
from quantkit.runtime.shared_weights import write_shared
from quantkit.runtime.topology import Placement, place, this_topology

_STARTS = 3  # attempts to start an instance again, one after the other
_MOST_DEATHS = 2
_LOG = logging.getLogger(__name__)


class ProcessEngine(QueuedEngine):
    """Processes, each with one session; see `Engine`."""

    def __init__(self, model: Model, placement: Placement) -> None:
        """Start one instance for each entry of `placement.cpus`, bound to these (none: to no CPU).

        Raises:
            QuantkitError: the model cannot be opened.
            EvaluationError: a process ended while it opened the model.
        """
        super().__init__(model.name, workers=len(placement.cpus), equal_lengths=model.profile.equal_lengths)
        self._model = model
        self.placement = placement
        self.restarts = 0
        self._instances: list[Instance] = []
        try:
            for cores in placement.cpus:
                self._instances.append(Instance.start(model, cores))
            ready = [instance.child.wait_ready() for instance in self._instances]
        except ChildDied as death:
            self._clear()
            raise EvaluationError(_no_start(self.name, death)) from None
        except BaseException:
            self._clear()
            raise
        self.outputs, self.by_position = ready[0]
        for instance in self._instances:
            instance.ready = True
        self._start_threads(self._listen, self._instances, name="quantkit-instance")

    @property
    def ran_seconds(self) -> float:
        """Seconds inside the runtime, over all instances."""
        return sum(instance.ran for instance in self._instances)

    @property
    def pids(self) -> list[int]:
        """The processes that take batches now."""
        with self._lock:
            return [instance.child.pid for instance in self._instances if instance.ready]

    def close(self, *, abandon: bool = False) -> None:
        """End the processes; see `Engine.close`."""
        with self._lock:
            lost = self._stop_taking(abandon=abandon)
            if abandon:
                for instance in self._instances:
                    instance.child.kill()
        fail((task, self._was_closed()) for task in lost)
        with self._lock:
            # A second Ctrl-C may have come between taking a batch and sending it: nobody waits for that one.
            while self._unanswered and not abandon:
                self._changed.wait()
            self._ending = True
            for instance in self._instances:
                instance.ready = False
                instance.child.ask_to_end()
        for thread in self._threads:
            thread.join()
        self._clear()

    def _dispatch(self) -> list[Failed]:
        """Send waiting batches to the instances with most room; see `QueuedEngine`."""
        failed: list[Failed] = []
        while self._waiting:
            instance = max(self._instances, key=lambda instance: instance.room)
            if instance.room == 0:
                break
            task = self._waiting.popleft()
            if not task.begin():
                continue
            try:
                instance.send(task)
            except ConnectionError:
                # It is gone. Its own thread finds out too, and starts another.
                instance.ready = False
                self._waiting.appendleft(task)
            except OSError as error:
                failed.append((task, error))
        return failed

    def _listen(self, instance: Instance) -> None:
        """Take the answers of an instance, and start it again when it ends, until the engine ends."""
        listening = True
        try:
            while listening:
                try:
                    answer = instance.child.receive()
                except ChildDied as death:
                    listening = self._replace(instance, str(death))
                else:
                    self._take(instance, answer)
        finally:
            if listening:
                # A mistake of the engine's own: whoever waits must hear of it.
                self._break(f"{self.name}: the engine broke down; report this", instance)

    def _take(self, instance: Instance, answer: dict[str, Any]) -> None:
        """Set the future of the first batch in flight, after giving the instance its next."""
        task, number = instance.flying[0]
        error: BaseException | None = None
        outputs: Arrays = ()
        if "places" in answer:
            # Copied, a few kilobytes: the block is written again while the caller looks at them.
            outputs = tuple(view.copy() for view in instance.blocks[number].views(answer["places"]))
        else:
            error = self._error(task, answer)
        with self._lock:
            instance.flying.popleft()
            instance.ran += answer["ran"]
            failed = self._dispatch()
        fail(failed)
        if error is None:
            task.future.set_result(outputs)
        else:
            task.future.set_exception(error)

    def _replace(self, instance: Instance, death: str) -> bool:
        """Give an instance's batches back and start another process; return False when the engine ends."""
        failed: list[Failed] = []
        with self._lock:
            instance.ready = False
            lost = [task for task, _ in instance.flying]
            instance.flying.clear()
            ending = self._ending
            if ending:
                failed = [(task, self._was_closed()) for task in lost]
            else:
                self.restarts += 1
                if lost and instance.in_a_run:
                    lost[0].deaths += 1
                    if lost[0].deaths >= _MOST_DEATHS:
                        failed.append((lost[0], _killer(self.name, lost[0], death)))
                        lost = lost[1:]
                self._waiting.extendleft(reversed(lost))
                failed += self._dispatch()
        instance.child.release()
        fail(failed)
        if ending:
            return False
        _LOG.warning("%s: an instance ended (%s); another is started, and nothing is lost", self.name, death)
        return self._start_again(instance)

    def _start_again(self, instance: Instance) -> bool:
        """Start a process for an instance that has none; return False when the engine ends."""
        fault = ""
        for _ in range(_STARTS):
            with self._lock:
                if self._ending:
                    return False
                # Known to `close` from its first moment, so that it is ended like any other.
                instance.start_again(self._model)
            try:
                instance.child.wait_ready()
            except ChildDied as again:
                instance.child.release()
                fault = _no_start(self.name, again)
                continue
            except QuantkitError as error:
                instance.child.release()
                fault = str(error)
                break
            with self._lock:
                instance.ready = not self._ending
                failed = self._dispatch()
            fail(failed)
            return True
        self._break(fault, instance)
        return False

    def _break(self, fault: str, instance: Instance) -> None:
        """Give up: what waits fails, nothing more is taken; other instances answer what they have."""
        with self._lock:
            self._fault = self._fault or fault
            instance.ready = False
            lost = [task for task, _ in instance.flying] + list(self._waiting)
            instance.flying.clear()
            self._waiting.clear()
        fail((task, EvaluationError(fault)) for task in lost)

    def _clear(self) -> None:
        """Let go of processes, memory and files."""
        for instance in self._instances:
            instance.clear()
        shutil.rmtree(self._model.folder, ignore_errors=True)


def open_processes(model: Model) -> ProcessEngine:
    """Open the instances of a profile, each in its process; see `open_engine`.

    Raises:
        UsageError: there is a reduction: an instance is told what to do in JSON.
    """
    if model.reduction is not None:
        raise UsageError("engine processes: gives back outputs as they are; choose engine threads or ray")
    profile = model.profile
    need = footprint(model.path, profile.token_budget)
    placement = place(
        this_topology(), profile.instances, profile.threads, need.bytes, shared_bytes=need.weights
    )
    if not model.can_pin():
        placement = replace(placement, cpus=((),) * profile.instances)
    return ProcessEngine(_sharing_weights(model), placement)


def _sharing_weights(model: Model) -> Model:
    """Write the model so that instances share its weights; it stays as it is where they cannot, or need not."""
    if model.profile.instances == 1 or model.profile.runtime != "onnxruntime":
        return model
    try:
        written = write_shared(
            model.path,
            model.folder,
            name=model.name,
            threads=model.profile.threads,
            exact_int8=model.profile.exact_int8,
        )
    except OutputError as error:
        _LOG.warning("each instance has weights of its own: %s", error)
        return model
    return replace(model, path=written, optimized=True)


def _killer(name: str, task: Task, death: str) -> BatchFailed:
    return BatchFailed(
        name,
        describe(task.feeds),
        f"two instances ended ({death}) while they ran {{batch}}",
        "give the machine more memory, or choose fewer instances or a smaller token budget",
    )


def _no_start(name: str, death: ChildDied) -> str:
    return (
        f"{name}: an instance ended ({death}) while it opened the model; "
        "give the machine more memory, or choose fewer instances"
    )
