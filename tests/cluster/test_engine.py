"""The engine on a Ray cluster: two nodes on this machine, whose actors are killed while they run."""

import contextlib
import dataclasses
import functools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from token_rows import Row, make_job

from quantkit.cluster import actor
from quantkit.cluster import cluster as cluster_module
from quantkit.cluster.engine import RayEngine
from quantkit.engines import open_engine
from quantkit.errors import ArtifactError, EvaluationError, UsageError
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import Engine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Job, run_each, run_job
from quantkit.runtime.session import INPUT_IDS

pytest.importorskip("ray", reason="needs the extra [ray]")

# All tests that need a cluster are in this group, so that there is one at a time, and one process that waits for it.
pytestmark = pytest.mark.xdist_group("ray")

OUTPUTS = ("start_logits", "end_logits")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Yield a cluster of two nodes with one core each, that this process is connected to."""
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=node)
    nodes.add_node(**{key: node[key] for key in ("num_cpus", "object_store_memory")})
    # By another name than its own, and then by that.
    for address in (f"127.0.0.1:{nodes.address.rpartition(':')[2]}",) * 2 + (nodes.address,):
        cluster_module.connect(address)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture
def profile(cluster: Any) -> RuntimeProfile:
    """Return two one-thread instances on the cluster."""
    return RuntimeProfile(instances=2, engine="ray", ray_address=cluster.address)


def a_job(count: int = 40, budget: int = 64) -> Job:
    """Return rows of 3 to 20 tokens, in batches whose results depend on which rows are together."""
    random = np.random.default_rng(3)
    rows = [Row(random.integers(1, 40, size, np.int64)) for size in random.integers(3, 21, count)]
    return make_job(rows, budget)


def run_local(path: Path, job: Job) -> list[tuple[np.ndarray, ...]]:
    """Return what the engine of this process makes of a job."""
    with open_engine(path, outputs=OUTPUTS, profile=RuntimeProfile(instances=2)) as engine:
        return run_job(engine, job, label="local")


def assert_same(found: list[Any], expected: list[Any]) -> None:
    """Check results to the last bit."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for array, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, wanted, strict=True)


def nodes_of(engine: Engine) -> set[str]:
    """Return the nodes that an engine's actors are on."""
    import ray

    assert isinstance(engine, RayEngine)
    return {ray.get(actor.handle.describe.remote(()))["node"] for actor in engine.actors}


def test_equals_local(profile: RuntimeProfile, save_encoder: Any) -> None:
    """Results are those of the local engine to the last bit, with an actor on each node."""
    path, job = save_encoder(), a_job()
    with open_engine(path, outputs=OUTPUTS, profile=profile) as engine:
        assert len(nodes_of(engine)) == 2
        found = run_job(engine, job, label="ray")
        assert engine.ran_seconds > 0
    assert_same(found, run_local(path, job))


def test_model_travels(profile: RuntimeProfile, save_encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that do not see the driver's files get their bytes, in pieces, through the object store."""
    path, job = save_encoder(), a_job(count=8)
    whole = cluster_module.files_of

    def only_here(path: Path, name: str) -> tuple[Any, ...]:
        # Nodes have another working folder.
        return tuple(dataclasses.replace(file, path=file.name) for file in whole(path, name))

    monkeypatch.chdir(path.parent)
    monkeypatch.setattr("quantkit.cluster.engine.files_of", only_here)
    monkeypatch.setattr(cluster_module, "_PIECE", 500)
    with open_engine(path, outputs=OUTPUTS, profile=profile) as engine:
        assert isinstance(engine, RayEngine)
        assert len(engine._shipment.pieces()) > 2
        found = run_job(engine, job, label="ray")
    assert_same(found, run_local(path, job))
    monkeypatch.setattr(cluster_module, "sha256_file", lambda _: "0" * 64)
    with pytest.raises(EvaluationError, match=r"model\.onnx did not arrive as it was sent"):
        open_engine(path, outputs=OUTPUTS, profile=profile)


def test_killed_actors_lose_nothing(profile: RuntimeProfile, save_encoder: Any) -> None:
    """Processes killed in the middle of a run cost nothing: every batch is answered once, to the last bit."""
    path, job = save_encoder(), a_job(count=160, budget=32)
    seen: list[int] = []
    lock = threading.Lock()
    with open_engine(path, outputs=OUTPUTS, profile=profile) as engine:
        assert isinstance(engine, RayEngine)

        def count_and_kill(batch: Any, _: Any) -> None:
            with lock:
                seen.extend(batch.indices)
                if len(seen) // 40 != (len(seen) - len(batch.indices)) // 40 and len(seen) < 120:
                    os.kill(engine.actors[len(seen) // 40 % 2].pid, signal.SIGKILL)

        run_each(engine, job, count_and_kill, label="killed")
        assert sorted(seen) == list(range(160))
        found = run_job(engine, job, label="again")
        assert engine.restarts >= 1
    assert_same(found, run_local(path, job))


def test_batch_that_kills(
    profile: RuntimeProfile, save_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that instances end in three times is an error that names it."""
    path, job = save_encoder(), a_job(count=3, budget=1000)
    send = actor.Actor.send

    def kill_and_send(actor: actor.Actor, feeds: Any) -> Any:
        assert actor.pid > 0
        # At once: Ray's own kill may come after the batch was answered.
        with contextlib.suppress(ProcessLookupError):
            os.kill(actor.pid, signal.SIGKILL)
        return send(actor, feeds)

    monkeypatch.setattr(actor.Actor, "send", kill_and_send)
    with (
        pytest.raises(EvaluationError, match=r"3 instances on Ray ended \(.*the batch of 3 x .* question"),
        open_engine(path, outputs=OUTPUTS, profile=profile) as engine,
    ):
        run_job(engine, job, label="killer")


def test_other_kernels(profile: RuntimeProfile, save_encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node with other kernels than this machine is refused: its last digits would differ."""
    other = dataclasses.replace(cpu_facts(), instruction_sets=("avx2", "made_up"))
    monkeypatch.setattr(actor, "cpu_facts", lambda: other)
    with pytest.raises(UsageError, match=r"gives other results than this machine.*made_up.*one kind of CPU"):
        open_engine(save_encoder(), outputs=OUTPUTS, profile=profile)


def test_mistakes_as_local(profile: RuntimeProfile, save_encoder: Any) -> None:
    """What is wrong with a model or a batch is told in the words of the local engine."""
    path = save_encoder()
    job = a_job(count=2)
    job.rows[0].input_ids[0] = 99
    with (
        open_engine(path, outputs=OUTPUTS, profile=profile) as engine,
        pytest.raises(EvaluationError, match=r"cannot run the batch of .* question"),
    ):
        run_job(engine, job, label="refused")
    with pytest.raises(ArtifactError, match="has no output 'logits'"):
        open_engine(path, outputs=("logits",), profile=profile)
    with pytest.raises(ArtifactError, match="no such model"):
        open_engine(path.with_name("none.onnx"), outputs=OUTPUTS, profile=profile)


def test_too_small(profile: RuntimeProfile, save_encoder: Any) -> None:
    """More instances than the cluster has cores are refused at once, and closed engines hold none."""
    assert cluster_module._RESERVED == {}
    with pytest.raises(UsageError, match="has room for 2 instances of 1 threads, not for 3"):
        open_engine(save_encoder(), outputs=OUTPUTS, profile=profile.model_copy(update={"instances": 3}))
    with pytest.raises(UsageError, match="no node with 2 cores"):
        cluster_module.cluster_seats(profile.ray_address, threads=2)


def test_abandoned(profile: RuntimeProfile, save_encoder: Any) -> None:
    """Leaving by an exception ends the engine at once, and every future is done."""
    feeds = {name: np.ones((4, 8), np.int64) for name in (INPUT_IDS, "attention_mask", "token_type_ids")}
    engine = open_engine(save_encoder(), outputs=OUTPUTS, profile=profile)
    futures = [engine.submit(feeds) for _ in range(4)]
    engine.close(abandon=True)
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="closed"):
        engine.submit(feeds)


def test_other_address(profile: RuntimeProfile, save_encoder: Any) -> None:
    """A process that is connected to one cluster does not quietly use it for another."""
    del profile
    for address, reason in (("127.0.0.1:1", "connected to"), ("local", "connected to")):
        wanted = RuntimeProfile(instances=1, engine="ray", ray_address=address)
        with pytest.raises(UsageError, match=reason):
            open_engine(save_encoder(), outputs=OUTPUTS, profile=wanted)
    with pytest.raises(UsageError, match="is for --engine ray, and the engine is threads"):
        open_engine(
            save_encoder(),
            outputs=OUTPUTS,
            profile=RuntimeProfile(instances=1, ray_address="127.0.0.1:1"),
        )
    with pytest.raises(UsageError, match="cannot pin"):
        open_engine(
            save_encoder(),
            outputs=OUTPUTS,
            profile=RuntimeProfile(instances=1, engine="ray", pinned=True),
        )


def test_lost_node(cluster: Any, profile: RuntimeProfile, save_encoder: Any) -> None:
    """A node that goes takes nothing with it: the other one finishes the run, to the last bit.

    The last test of the module that needs two nodes.
    """
    path, job = save_encoder(), a_job(count=120, budget=32)
    seen: list[int] = []
    lock = threading.Lock()
    with open_engine(path, outputs=OUTPUTS, profile=profile) as engine:

        def count_and_remove(batch: Any, _: Any) -> None:
            with lock:
                before = len(seen)
                seen.extend(batch.indices)
                if before < 40 <= len(seen):
                    cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)

        run_each(engine, job, count_and_remove, label="lost node")
        assert sorted(seen) == list(range(120))
        found = run_job(engine, job, label="again")
    assert_same(found, run_local(path, job))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (None, "Ray at auto: no cluster there .*ray start --head"),
        ("127.0.0.1:1", "Ray at 127.0.0.1:1: no cluster there .*ray start --head"),
        ("auto", "Ray at 127.0.0.1:1: no cluster there .*ray start --head"),
        ("local", "not the address of a running cluster"),
        ("ray://127.0.0.1:10001", "not the address of a running cluster"),
    ],
)
def test_no_cluster(
    address: str | None, reason: str, save_encoder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a cluster a message says how to start one, and none is started."""
    import ray

    ray.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Where Ray looks for clusters on this machine: one of another test may be there.
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    if address == "auto":
        # What a cluster that was killed leaves behind.
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1", encoding="utf-8")
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", functools.cache(set))
    profile = RuntimeProfile(instances=1, engine="ray", ray_address=address)
    with pytest.raises(UsageError, match=reason):
        open_engine(save_encoder(), outputs=OUTPUTS, profile=profile)
    assert not ray.is_initialized()
