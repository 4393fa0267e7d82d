"""The machine is read as Linux describes it, and instances are spread so that they stay in their cache."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.runtime.topology import (
    Core,
    L3Slice,
    Topology,
    place,
    read_topology,
    this_topology,
)

MB = 1 << 20


def write_tree(
    root: Path, *, sockets: int, cores: int, smt: int, cores_per_slice: int | None, l3: str = "32768K"
) -> Path:
    """Write a `/sys/devices/system` of so many cores a socket, numbered as Linux does: siblings come last."""
    total = sockets * cores
    for cpu in range(total * smt):
        core = cpu % total
        socket = core // cores
        siblings = ",".join(str(core + total * rank) for rank in range(smt))
        folder = root / "cpu" / f"cpu{cpu}"
        (folder / "topology").mkdir(parents=True)
        (folder / "topology/thread_siblings_list").write_text(f"{siblings}\n")
        (folder / "topology/physical_package_id").write_text(f"{socket}\n")
        for level, size, count in ((1, "32K", 1), (2, "1024K", 1), (3, l3, cores_per_slice)):
            if count is None:
                continue
            first = core - core % count
            shared = ",".join(
                f"{first + total * rank}-{first + count - 1 + total * rank}" for rank in range(smt)
            )
            index = folder / "cache" / f"index{level}"
            index.mkdir(parents=True)
            (index / "level").write_text(f"{level}\n")
            (index / "size").write_text(f"{size}\n")
            (index / "shared_cpu_list").write_text(f"{shared if level == 3 else siblings}\n")
    for socket in range(sockets):
        lists = ",".join(
            f"{socket * cores + total * rank}-{(socket + 1) * cores - 1 + total * rank}"
            for rank in range(smt)
        )
        node = root / "node" / f"node{socket}"
        node.mkdir(parents=True)
        (node / "cpulist").write_text(f"{lists}\n")
    (root / "node/has_cpu").write_text("0\n")
    return root


def all_cpus(count: int) -> frozenset[int]:
    """Return the CPUs 0 to count - 1."""
    return frozenset(range(count))


def test_epyc_with_stacked_cache(tmp_path: Path) -> None:
    """Two EPYC 7773X: 2 x 64 cores with two siblings each, sixteen slices of 96 MB."""
    tree = write_tree(tmp_path, sockets=2, cores=64, smt=2, cores_per_slice=8, l3="98304K")
    found = read_topology(tree, all_cpus(256))
    assert len(found.cores) == 128
    assert {piece.bytes for piece in found.slices} == {96 * MB}
    assert len(found.slices) == 16
    assert found.cores[0].cpus == (0, 128)
    assert [len(group) for group in found.groups()] == [8] * 16
    assert found.describe() == "2 sockets, 2 NUMA nodes, 128 cores, 256 CPUs, 16 x 96 MB L3"


def test_instances_stay_in_a_slice(tmp_path: Path) -> None:
    """32 instances of 4 threads on 16 slices: two a slice, none over a border, and 40 MB each fit 96 MB."""
    tree = write_tree(tmp_path, sockets=2, cores=64, smt=2, cores_per_slice=8, l3="98304K")
    found = read_topology(tree, all_cpus(256))
    placed = place(found, 32, 4, 40 * MB)
    assert placed.fits
    assert placed.slice_need == 80 * MB
    for cpus in placed.cpus:
        assert len({cpu // 8 for cpu in cpus}) == 1
    assert sorted(cpu for cpus in placed.cpus for cpu in cpus) == list(range(128))
    assert not place(found, 32, 4, 50 * MB).fits
    # Shared weights are in the slice once.
    assert place(found, 32, 4, 50 * MB, shared_bytes=30 * MB).fits


def test_two_xeons(tmp_path: Path) -> None:
    """One L3 a socket: instances alternate between the sockets."""
    tree = write_tree(tmp_path, sockets=2, cores=28, smt=2, cores_per_slice=28, l3="39424K")
    found = read_topology(tree, all_cpus(112))
    placed = place(found, 2, 28, 20 * MB)
    assert placed.cpus == (tuple(range(28)), tuple(range(28, 56)))
    assert placed.fits
    assert placed.slice_bytes == 39424 << 10
    # Every core is taken before any sibling.
    whole = place(found, 112, 1, MB)
    assert sorted(cpus[0] for cpus in whole.cpus[:56]) == list(range(56))
    assert sorted(cpus[0] for cpus in whole.cpus) == list(range(112))


def test_machine_without_caches(tmp_path: Path) -> None:
    """A virtual machine that hides its caches is placed on, and whether it fits is not known."""
    found = read_topology(write_tree(tmp_path, sockets=1, cores=4, smt=1, cores_per_slice=None), all_cpus(4))
    placed = place(found, 2, 2, 10**12)
    assert placed.cpus == ((0, 1), (2, 3))
    assert placed.fits is None
    assert "does not tell" in placed.describe()


def test_nothing_to_read(tmp_path: Path) -> None:
    """A system without these files has a core for every CPU."""
    found = read_topology(tmp_path / "nowhere", all_cpus(3))
    assert [core.cpus for core in found.cores] == [(0,), (1,), (2,)]
    assert found.slices == ()


def test_only_allowed_cpus(tmp_path: Path) -> None:
    """CPUs outside the affinity mask are not there, as siblings neither."""
    tree = write_tree(tmp_path, sockets=1, cores=8, smt=2, cores_per_slice=4)
    found = read_topology(tree, frozenset({2, 3, 5, 10}))
    assert [core.cpus for core in found.cores] == [(2, 10), (3,), (5,)]
    placed = place(found, 3, 1, MB)
    assert {cpu for cpus in placed.cpus for cpu in cpus} == {2, 3, 5}


@pytest.mark.parametrize(("text", "value"), [("", 0), ("garbage", 0), ("unlimited", 0)])
def test_broken_size(tmp_path: Path, text: str, value: int) -> None:
    """A cache size that is no number is no cache."""
    tree = write_tree(tmp_path, sockets=1, cores=1, smt=1, cores_per_slice=1, l3=text)
    assert len(read_topology(tree, all_cpus(1)).slices) == value


def test_this_machine() -> None:
    """The machine at hand has a core for this process."""
    assert this_topology().cores


@given(
    slices=st.integers(1, 6),
    cores=st.integers(1, 8),
    smt=st.integers(1, 2),
    instances=st.integers(1, 20),
    threads=st.integers(1, 10),
    need=st.integers(0, 64),
)
def test_every_instance_has_its_threads(
    slices: int, cores: int, smt: int, instances: int, threads: int, need: int
) -> None:
    """No CPU has two threads while another has none, and `fits` is what the sums say."""
    total = slices * cores
    topology = Topology(
        cores=tuple(
            Core(cpus=tuple(core + total * rank for rank in range(smt)), package=0, node=0, l3=core // cores)
            for core in range(total)
        ),
        slices=(L3Slice(bytes=32 * MB),) * slices,
    )
    placed = place(topology, instances, threads, need * MB)
    assert len(placed.cpus) == instances
    assert all(1 <= len(cpus) <= threads for cpus in placed.cpus)
    assert all(set(cpus) <= set(range(total * smt)) for cpus in placed.cpus)
    if instances * threads <= total:
        taken = [cpu for cpus in placed.cpus for cpu in cpus]
        assert len(taken) == len(set(taken)) == instances * threads
    if placed.fits:
        assert placed.slice_need <= 32 * MB
    if threads <= cores and instances <= slices:
        # Room for all: none shares a slice, none crosses a border.
        assert placed.fits is (need <= 32)
