"""An existing Ray cluster: connected to, its cores counted and reserved, model files sent to it.

Nothing is started here, and no cluster is taken that was not there before: `ray.init` without an address would quietly
start one of its own. A process stays connected until it ends, as Ray programs do.

Cores are reserved once for all engines of a process that want the same seats (`instances` x `threads`): several models
that are open at once, as in a bench, take turns on the same cores, and other users of the cluster are respected.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.cluster.instance import ModelFile
from quantkit.errors import ArtifactError, EvaluationError, UsageError
from quantkit.files import sha256_file
from quantkit.runtime.model_files import external_files, read_graph

_REACH_SECONDS = 5.0
_RESERVE_SECONDS = 60.0
_PIECE = 32 << 20  # small enough for the object store of any node
_NAMES: dict[str, str] = {}  # a cluster's own address → the one it was found by
_START = "start one with `ray start --head`, then give its address as --ray-address or RAY_ADDRESS"


def connect(address: str | None) -> Any:
    """Connect this process to a cluster, unless it is connected to it already, and return the module `ray`.

    Args:
        address: `host:port` of its head, or `auto` for the cluster this machine is in; `RAY_ADDRESS` when None.

    Raises:
        UsageError: Ray is not installed, there is no cluster at the address, or the process is connected to another.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise UsageError(
            'engine ray needs ray, which is not installed; run pip install "quantkit[ray]"'
        ) from None
    wanted = address or os.environ.get("RAY_ADDRESS") or "auto"
    if ray.is_initialized():
        connected = ray.get_runtime_context().gcs_address
        # A cluster has other names than its own: 127.0.0.1, a host name.
        if wanted not in ("auto", connected, _NAMES.get(connected)):
            raise UsageError(
                f"Ray at {wanted}: this process is connected to {connected}; "
                "use that one, or call ray.shutdown() first"
            )
        return ray
    if wanted != "auto" and ("://" in wanted or not wanted.rpartition(":")[2].isdecimal()):
        raise UsageError(
            f"Ray at {wanted}: is not the address of a running cluster (host:port, or auto); {_START}"
        )
    reached = wanted if wanted != "auto" else _noted_here()
    if reached is not None:
        _reach(reached)
    try:
        with _own_sigterm():
            ray.init(address=wanted, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if wanted != "auto" else "none is running on this machine"
        raise UsageError(f"Ray at {wanted}: no cluster there ({reason}); {_START}") from None
    _NAMES[ray.get_runtime_context().gcs_address] = wanted
    return ray


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Let SIGTERM do after the block what it did before: Ray takes it for an end of its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def cluster_seats(address: str | None, *, threads: int = 1) -> int:
    """Return how many instances of so many threads the cores of a cluster have room for, busy or not.

    Raises:
        UsageError: there is no cluster, or no room for one.
    """
    return _room(connect(address), threads)


def shares(ray: Any, most: int) -> tuple[int, int]:
    """Return how many workers a cluster has room for, at most so many, and how many cores each of them may have.

    Raises:
        UsageError: there is no room for one.
    """
    workers = min(most, _room(ray, 1))
    cores = _cores(ray)
    threads = max(n for n in range(1, max(cores) + 1) if sum(count // n for count in cores) >= workers)
    return workers, threads


def _cores(ray: Any) -> list[int]:
    """Return how many cores each node has."""
    return [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]


def _room(ray: Any, threads: int) -> int:
    cores = _cores(ray)
    seats = sum(count // threads for count in cores)
    if not seats:
        raise UsageError(
            f"the Ray cluster has no node with {threads} cores (they have {', '.join(map(str, cores))}); "
            "choose fewer threads"
        )
    return seats


def _noted_here() -> str | None:
    """Return the address that Ray has noted of the cluster this machine is in; one that was killed is noted too."""
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")  # noqa: S108 - Ray's own place
    try:
        return note.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _reach(address: str) -> None:
    """Check that somebody listens: Ray itself would try for minutes.

    Raises:
        UsageError: nobody does.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _REACH_SECONDS):
            pass
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"Ray at {address}: no cluster there ({reason}); {_START}") from None


@dataclass(eq=False, slots=True)
class Seats:
    """Cores that this process has reserved: one bundle for each instance.

    Attributes:
        group: Ray's placement group.
        users: how many engines are open on them.
    """

    group: Any
    users: int = 1

    @classmethod
    def reserve(cls, ray: Any, *, instances: int, threads: int) -> "Seats":
        """Take the cores, or share those that another engine of this process took.

        Raises:
            UsageError: the cluster is too small.
            EvaluationError: its cores are taken by others.
        """
        with _LOCK:
            shared = _RESERVED.get((instances, threads))
            if shared is not None:
                shared.users += 1
                return shared
            room = _room(ray, threads)
            if instances > room:
                raise UsageError(
                    f"the Ray cluster has room for {room} instances of {threads} threads, not for {instances}; "
                    "choose fewer, or add nodes"
                )
            group = ray.util.placement_group([{"CPU": threads}] * instances, strategy="SPREAD")
            if not group.wait(_RESERVE_SECONDS):
                ray.util.remove_placement_group(group)
                free = int(ray.available_resources().get("CPU", 0))
                raise EvaluationError(
                    f"the Ray cluster is busy: {instances} x {threads} cores were not free within "
                    f"{_RESERVE_SECONDS:g} s ({free} are); choose fewer instances, or try again later"
                )
            seats = _RESERVED[instances, threads] = cls(group)
            return seats

    def release(self) -> None:
        """Give the cores back when nobody else in this process uses them."""
        import ray

        with _LOCK:
            self.users -= 1
            if self.users:
                return
            key = next(key for key, seats in _RESERVED.items() if seats is self)
            del _RESERVED[key]
            if ray.is_initialized():
                ray.util.remove_placement_group(self.group)


_LOCK = threading.Lock()
_RESERVED: dict[tuple[int, int], Seats] = {}


def files_of(path: Path, name: str) -> tuple[ModelFile, ...]:
    """Return the files of a model, the graph first, then the weights that lie beside it.

    Raises:
        ArtifactError: one is missing, or it is not an ONNX model.
    """
    try:
        weights = external_files(read_graph(path, name))
        return tuple(_file(path.parent, place) for place in (path.name, *sorted(weights)))
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise ArtifactError(f"{name}: {missing} is missing; make or copy the artifact again") from None


def _file(folder: Path, name: str) -> ModelFile:
    path = (folder / name).resolve()
    if Path(name).name != name:
        raise ArtifactError(f"{folder / name}: weights must lie beside their graph; make the artifact again")
    return ModelFile(name=name, path=os.fspath(path), size=path.stat().st_size, sha256=sha256_file(path))


def pieces(file: ModelFile) -> Iterator[NDArray[np.uint8]]:
    """Yield a file in pieces that any object store takes."""
    with Path(file.path).open("rb") as content:
        while piece := content.read(_PIECE):
            yield np.frombuffer(piece, np.uint8)
