"""Which CPUs share what: cores, SMT siblings, NUMA nodes, slices of the L3 cache; and where instances go.

An instance set whose weights and activations stay in the L3 slice of its cores does not wait for memory: EPYC CPUs
with stacked cache (96 MB a slice) hold a whole INT8 BERT-Large batch that way. So an instance never spans two slices if
it can be helped, instances are spread evenly over the slices, and `Placement.fits` says whether the cache is enough.
"""

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SYSTEM = Path("/sys/devices/system")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, kw_only=True, slots=True)
class Core:
    """One physical core.

    Attributes:
        cpus: its logical CPUs (SMT siblings) that this process may use, lowest first.
        package: the socket.
        node: the NUMA node.
        l3: which of `Topology.slices` it reads through; None where the system does not say.
    """

    cpus: tuple[int, ...]
    package: int
    node: int
    l3: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class L3Slice:
    """One L3 cache: an EPYC socket has up to twelve, most others one."""

    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """The cores that this process may use, in the order of nodes and slices."""

    cores: tuple[Core, ...]
    slices: tuple[L3Slice, ...]

    def groups(self) -> list[tuple[Core, ...]]:
        """Return the cores by L3 slice; by NUMA node where no cache is known."""
        found: dict[tuple[int, int], list[Core]] = {}
        for core in self.cores:
            key = (core.node, -1) if core.l3 is None else (-1, core.l3)
            found.setdefault(key, []).append(core)
        return [tuple(cores) for cores in found.values()]

    def describe(self) -> str:
        """Return it in words."""
        packages = len({core.package for core in self.cores})
        nodes = len({core.node for core in self.cores})
        cpus = sum(len(core.cpus) for core in self.cores)
        slices = sorted({piece.bytes >> 20 for piece in self.slices}, reverse=True)
        cache = f"{len(self.slices)} x {'/'.join(map(str, slices))} MB L3" if slices else "L3 unknown"
        return f"{packages} sockets, {nodes} NUMA nodes, {len(self.cores)} cores, {cpus} CPUs, {cache}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where instances run.

    Attributes:
        cpus: for each instance, the logical CPUs it is bound to; empty for any.
        fits: what the instances of a slice need stays in it, for every slice; None where no cache is known.
        slice_bytes: the smallest L3 slice in use; None where no cache is known.
        slice_need: what the instances of the fullest slice need, in bytes.
    """

    cpus: tuple[tuple[int, ...], ...]
    fits: bool | None
    slice_bytes: int | None
    slice_need: int

    def describe(self) -> str:
        """Return in one line whether the instances stay in their cache."""
        if self.slice_bytes is None:
            return "the system does not tell the size of its L3 cache"
        verb = "fits" if self.fits else "does not fit"
        return (
            f"{self.slice_need / 1e6:.0f} MB a slice: {verb} the L3 cache of {self.slice_bytes / 1e6:.0f} MB"
        )


def place(
    topology: Topology, instances: int, threads: int, need_bytes: int, *, shared_bytes: int = 0
) -> Placement:
    """Spread instances over the cores.

    Each thread has a core of its own while there are enough, then an SMT sibling; beyond that CPUs are shared in turn.

    Args:
        topology: the cores.
        instances: how many, 1 or more.
        threads: threads inside each, 1 or more.
        need_bytes: weights and activations of one instance.
        shared_bytes: the part of them that all instances share (weights mapped from one file).
    """
    groups = topology.groups()
    # CPUs of each group in the order they are given out: first of every core, then the siblings.
    free = [_by_sibling(group) for group in groups]
    counts = [0] * len(groups)
    spans = False
    cpus = []
    for _ in range(instances):
        chosen, within = _take(groups, free, counts, threads)
        spans = spans or not within
        cpus.append(tuple(sorted(chosen)))
    needs = [_slice_need(count, need_bytes, shared_bytes) for count in counts]
    known = [
        (need, topology.slices[group[0].l3].bytes)
        for need, count, group in zip(needs, counts, groups, strict=True)
        if count and group[0].l3 is not None
    ]
    return Placement(
        cpus=tuple(cpus),
        fits=None if not known else not spans and all(need <= size for need, size in known),
        slice_bytes=min((size for _, size in known), default=None),
        slice_need=max(needs, default=0),
    )


def _slice_need(count: int, need_bytes: int, shared_bytes: int) -> int:
    shared = min(shared_bytes, need_bytes)
    return shared + count * (need_bytes - shared) if count else 0


def _by_sibling(cores: Sequence[Core]) -> list[int]:
    most = max(len(core.cpus) for core in cores)
    return [core.cpus[rank] for rank in range(most) for core in cores if rank < len(core.cpus)]


def _take(
    groups: Sequence[Sequence[Core]], free: list[list[int]], counts: list[int], threads: int
) -> tuple[list[int], bool]:
    """Take CPUs for one instance, out of one group if any has enough; say whether it did."""
    if not any(free):
        for cpus, group in zip(free, groups, strict=True):
            cpus[:] = _by_sibling(group)
    # Whole cores first: a group whose first CPUs are taken has only siblings left, which are worth less.
    left = [
        max(0, len(cpus) - (len(_by_sibling(group)) - len(group)))
        for cpus, group in zip(free, groups, strict=True)
    ]
    order = sorted(
        range(len(groups)), key=lambda index: (left[index] < threads, -left[index], -len(free[index]))
    )
    roomy = next((index for index in order if len(free[index]) >= threads), None)
    if roomy is not None:
        counts[roomy] += 1
        taken, free[roomy] = free[roomy][:threads], free[roomy][threads:]
        return taken, True
    taken = []
    for index in order:
        part = free[index][: threads - len(taken)]
        free[index] = free[index][len(part) :]
        counts[index] += bool(part)
        taken += part
    return taken, False


@functools.cache
def this_topology() -> Topology:
    """Return the CPUs of this machine that this process may use, read once."""
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = affinity(0) if affinity else set(range(os.cpu_count() or 1))
    return read_topology(_SYSTEM, frozenset(allowed))


def read_topology(system: Path, allowed: frozenset[int]) -> Topology:
    """Read a tree as Linux gives it under `/sys/devices/system`; what it lacks is left out.

    A machine that tells nothing (a container, another system) is one socket with a core for each CPU.

    Args:
        system: the folder with `cpu` and `node`.
        allowed: logical CPUs that this process may use; others are not there.
    """
    nodes = dict(_nodes(system / "node"))
    slices: dict[tuple[int, ...], int] = {}
    cores: dict[tuple[int, ...], Core] = {}
    for cpu in sorted(allowed):
        folder = system / "cpu" / f"cpu{cpu}"
        siblings = tuple(sorted(set(_cpu_list(_read(folder / "topology/thread_siblings_list"))) | {cpu}))
        cache = _l3(folder / "cache")
        if cache is not None:
            slices.setdefault(*cache)
        cores.setdefault(
            siblings,
            Core(
                cpus=tuple(sibling for sibling in siblings if sibling in allowed),
                package=_number(_read(folder / "topology/physical_package_id")),
                node=nodes.get(cpu, 0),
                l3=None if cache is None else list(slices).index(cache[0]),
            ),
        )
    order = sorted(
        cores.values(), key=lambda core: (core.node, -1 if core.l3 is None else core.l3, core.cpus)
    )
    return Topology(cores=tuple(order), slices=tuple(L3Slice(bytes=size) for size in slices.values()))


def _l3(folder: Path) -> tuple[tuple[int, ...], int] | None:
    """Return the CPUs that share the L3 cache of one CPU, and its size; None when there is none, or none is known."""
    for index in sorted(folder.glob("index*")):
        if _read(index / "level") == "3":
            cpus, size = tuple(_cpu_list(_read(index / "shared_cpu_list"))), _size(_read(index / "size"))
            if cpus and size:
                return cpus, size
    return None


def _nodes(folder: Path) -> Iterator[tuple[int, int]]:
    for node in sorted(folder.glob("node[0-9]*")):
        for cpu in _cpu_list(_read(node / "cpulist")):
            yield cpu, int(node.name.removeprefix("node"))


def _cpu_list(text: str) -> list[int]:
    """Return the numbers of a list such as `0-3,8,10-11`; none when it is not one."""
    found: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        return []
    return found


def _size(text: str) -> int:
    """Return the bytes that `32768K` or `96M` stands for; 0 when it is no size."""
    number, unit = text.rstrip("KMG"), text[-1:]
    return int(number) * _UNITS.get(unit, 1) if number.isdigit() else 0


def _number(text: str) -> int:
    # Some virtual machines write -1.
    return int(text) if text.isdigit() else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
