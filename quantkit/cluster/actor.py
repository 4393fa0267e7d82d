"""One instance on a Ray cluster, seen from the driver: placed, checked, given the model and batches, killed."""

import contextlib
import threading
from typing import Any

from quantkit.cluster.cluster import Seats, pieces
from quantkit.cluster.instance import Opening, RayInstance, version_facts
from quantkit.errors import QuantkitError, UsageError
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine.child import mistake
from quantkit.runtime.engine.engine import Feeds

START_SECONDS = 120.0
"""The longest for one step of a start: a place in the cluster and a process, a piece of the model, the model."""


class ActorDied(Exception):
    """The actor has ended, or its answer is lost with its node; `str(error)` says how."""


class NoStart(Exception):
    """An actor did not come up; `str(error)` says why."""


class Shipment:
    """What all actors of an engine open; the pieces of its files are put into the object store once, when needed."""

    def __init__(self, ray: Any, opening: Opening) -> None:
        """Put nothing there yet."""
        self.opening = opening
        self._ray = ray
        self._lock = threading.Lock()
        self._sent: list[tuple[str, Any]] | None = None

    def pieces(self) -> list[tuple[str, Any]]:
        """Return file name and reference of every piece, in order.

        Raises:
            OSError: a file of the model cannot be read any more.
        """
        with self._lock:
            if self._sent is None:
                self._sent = [
                    (file.name, self._ray.put(piece)) for file in self.opening.files for piece in pieces(file)
                ]
            return self._sent


class Actor:
    """A handle to an actor on some node."""

    def __init__(self, ray: Any, seats: Seats, seat: int, *, kind: type[RayInstance] = RayInstance) -> None:
        """Ask for it; `prepare` waits until it is there.

        Args:
            ray: the module, connected.
            seats: reserved for it and others.
            seat: its own.
            kind: what it is.
        """
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        self._ray = ray
        self.pid, self.machine = 0, ""
        # No cores of its own: those of the seat are shared by the actors of all engines that are open.
        placed = PlacementGroupSchedulingStrategy(seats.group, placement_group_bundle_index=seat)
        wanted = ray.remote(kind).options(
            num_cpus=0, max_restarts=0, max_task_retries=0, scheduling_strategy=placed
        )
        self.handle = wanted.remote()

    def prepare(self, shipment: Shipment) -> tuple[tuple[str, ...], tuple[bool, ...]]:
        """Check its node, and let it open the model; return the outputs, each with whether it is by position.

        Raises:
            QuantkitError: the model cannot be opened, or the node has other kernels or versions.
            NoStart: it ended, or there is no place for it.
        """
        opening, errors = shipment.opening, self._ray.exceptions
        packages = (*opening.packages, opening.runtime)
        try:
            facts = self._wait(self.handle.describe.remote(packages))
            _check_node(opening.name, facts, version_facts(packages))
            self.pid, self.machine = facts["pid"], facts["machine"]
            if not self._wait(self.handle.sees.remote(opening.files)):
                for name, piece in shipment.pieces():
                    self._wait(self.handle.receive.remote(name, piece))
            answer = self._wait(self.handle.open.remote(opening))
        except errors.GetTimeoutError:
            raise NoStart(
                f"an instance on Ray was not there within {START_SECONDS:g} s; see `ray status`"
            ) from None
        except errors.RayError as error:
            if "No module named" in str(error):
                raise NoStart(
                    "a node of the Ray cluster lacks quantkit, or a library of it; install the same on every node"
                ) from None
            raise NoStart(
                f"an instance on Ray ended while it opened the model ({_reason(error)}); "
                "look at its node, and give it more memory"
            ) from None
        except OSError as error:
            raise NoStart(f"the model cannot be read any more ({error.strerror}); make it again") from None
        if "mistake" in answer:
            raise mistake(answer)
        if "broken" in answer:
            raise NoStart(answer["broken"])
        outputs = tuple(answer["outputs"])
        # What a reduction makes of a batch has a row for each of its rows, and nothing by position.
        return outputs, (False,) * len(outputs) if opening.reduction else tuple(answer["by_position"])

    def send(self, feeds: Feeds) -> Any:
        """Give it a batch, and return a reference to the answer.

        Raises:
            QuantkitError: Ray does not take it.
        """
        try:
            return self.handle.run.remote(dict(feeds))
        except self._ray.exceptions.RayError as error:
            raise QuantkitError(f"Ray does not take a batch ({_reason(error)})") from None

    def answer(self, reference: Any) -> dict[str, Any]:
        """Wait for an answer.

        Raises:
            ActorDied: there will be none.
        """
        try:
            content: dict[str, Any] = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise ActorDied(_reason(error)) from None
        return content

    def kill(self) -> None:
        """End it at once; one that has ended stays so."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(self.handle)

    def _wait(self, reference: Any) -> Any:
        return self._ray.get(reference, timeout=START_SECONDS)


def _check_node(name: str, facts: dict[str, Any], tools: dict[str, str]) -> None:
    """Check that an instance computes what this machine would.

    Raises:
        UsageError: its node has other kernels or versions, and so other last digits.
    """
    here = {"kernels": cpu_facts().kernels_json(), "tools": tools}
    for what, advice in (
        ("kernels", "run on nodes of one kind of CPU, and from one of them"),
        ("tools", "install the same versions on every node"),
    ):
        there = facts[what]
        differs = [f"{key} {there.get(key)} and not {value}" for key, value in here[what].items()]
        differs = [
            text for text, key in zip(differs, here[what], strict=True) if there.get(key) != here[what][key]
        ]
        if differs:
            raise UsageError(
                f"{name}: a node of the Ray cluster gives other results than this machine: it has "
                f"{', '.join(differs)}; {advice}"
            )


def _reason(error: Exception) -> str:
    """Return the telling part of what Ray says: its kind, and the cause if it is named."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("The actor ") and "died unexpectedly" not in line]
    said = (causes or lines or [""])[0].partition(" Worker exit detail")[0]
    return f"{type(error).__name__}: {said[:160]}" if said else type(error).__name__
