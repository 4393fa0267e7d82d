"""Threads share sessions, take no more than they should, and stop when they must."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.engines import open_engine
from quantkit.errors import UsageError
from quantkit.runtime.engine import Feeds, ThreadEngine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.session import Arrays, Session, StopSignal

SaveEncoder = Callable[..., Path]
SPAN = ("start_logits", "end_logits")


def make_feeds(*shape: int) -> Feeds:
    """Return a batch of this shape, full of token 1."""
    ids = np.ones(shape, np.int64)
    return {"input_ids": ids, "attention_mask": ids, "token_type_ids": np.zeros_like(ids)}


class Gate(Session):
    """A session whose runs wait until they are let through; it notes which runs were on at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, outputs=SPAN)
        self.open = threading.Event()
        self.inside = 0
        self.most = 0
        self.affinities: set[frozenset[int]] = set()
        self._lock = threading.Lock()

    def run(self, feeds: Mapping[str, NDArray[Any]], stop: StopSignal | None = None) -> Arrays:
        """Wait, then run."""
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.affinities.add(frozenset(os.sched_getaffinity(0)))
        self.open.wait(600)
        found = super().run(feeds, stop)
        with self._lock:
            self.inside -= 1
        return found


def test_submit_waits(save_encoder: SaveEncoder) -> None:
    """Two batches for each worker may be under way; the next waits until one is answered."""
    gate = Gate(save_encoder())
    with ThreadEngine([gate]) as engine:
        futures = [engine.submit(make_feeds(1, 2)) for _ in range(2)]
        third = threading.Thread(target=lambda: futures.append(engine.submit(make_feeds(1, 2))))
        third.start()
        third.join(0.1)
        assert third.is_alive()
        gate.open.set()
        third.join(600)
        assert [future.result(600)[0].shape for future in futures] == [(1, 2)] * 3
    assert engine.ran_seconds > 0


def test_session_of_several_threads_has_one_caller(save_encoder: SaveEncoder) -> None:
    """Two sessions serve two workers, each one batch at a time."""
    gates = [Gate(save_encoder()), Gate(save_encoder())]
    with ThreadEngine(gates) as engine:
        futures = [engine.submit(make_feeds(1, 2)) for _ in range(4)]
        for gate in gates:
            gate.open.set()
        for future in futures:
            future.result(600)
    assert [gate.most for gate in gates] == [1, 1]


def test_pinned_threads(save_encoder: SaveEncoder) -> None:
    """Each worker's thread is bound to its own CPUs; this thread is not."""
    before = os.sched_getaffinity(0)
    gate = Gate(save_encoder())
    places = [(cpu,) for cpu in sorted(before)[:2]]
    with ThreadEngine([gate] * len(places), cpus=places) as engine:
        futures = [engine.submit(make_feeds(1, 2)) for _ in range(4)]
        while gate.inside < len(places):
            pass
        gate.open.set()
        for future in futures:
            future.result(600)
    assert gate.affinities == {frozenset(place) for place in places}
    assert os.sched_getaffinity(0) == before
    profile = RuntimeProfile(instances=2, pinned=True)
    with open_engine(save_encoder(), outputs=SPAN, profile=profile) as opened:
        assert opened.submit(make_feeds(1, 2)).result(600)[0].shape == (1, 2)


def test_no_batches_after_the_end(save_encoder: SaveEncoder) -> None:
    """A closed engine takes nothing, however often it is asked."""
    engine = open_engine(save_encoder(), outputs=SPAN, profile=RuntimeProfile(instances=1))
    engine.close()
    for _ in range(4):
        with pytest.raises(RuntimeError, match="after shutdown"):
            engine.submit(make_feeds(1, 2))


def test_unknown_engine(save_encoder: SaveEncoder) -> None:
    """An engine that is not there is an error that names those that are."""
    profile = RuntimeProfile.here().model_copy(update={"engine": "magic"})
    with pytest.raises(
        UsageError, match="engine magic: there is no such engine here; choose threads or processes"
    ):
        open_engine(save_encoder(), outputs=SPAN, profile=profile)
