"""The system under test: LoadGen's queries become batches of the engine, its logits become LoadGen's answers.

Offline sends everything in one query: the samples are sorted by length and cut by the profile's token budget, as
everywhere in this package, and every batch is answered when it is done. SingleStream sends one sample at a time, and
the next when that is answered.

Nothing may be raised into LoadGen: it ends the process by a segmentation fault. So what goes wrong is told to `fail`,
which ends the process in its own way.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import EvaluationError
from quantkit.mlperf.samples import SampleLibrary
from quantkit.runtime.batching import Batch
from quantkit.runtime.engine import BatchFailed, Engine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Job
from quantkit.runtime.session import Arrays

Answer = tuple[int, NDArray[np.float32]]
"""A query's id, and float32 [tokens, 2] start and end logits, contiguous."""


class Query(Protocol):
    """What LoadGen asks: answer sample `index`, under the name `id`."""

    @property
    def id(self) -> int:
        """The name of the answer."""

    @property
    def index(self) -> int:
        """The sample."""


class SystemUnderTest:
    """Answers queries. `issue` is LoadGen's callback.

    Attributes:
        answered: how many queries were answered so far.
        seconds: from the first query to the last answer so far.
    """

    def __init__(
        self,
        engine: Engine,
        library: SampleLibrary,
        *,
        profile: RuntimeProfile,
        pad_id: int,
        answer: Callable[[Sequence[Answer]], None],
        fail: Callable[[BaseException], NoReturn],
    ) -> None:
        """Take what is needed to answer.

        Args:
            engine: open.
            library: the samples.
            profile: how batches are cut.
            pad_id: the token that fills a row up to its batch's length.
            answer: hands answers to LoadGen, from several threads.
            fail: ends the process; does not return.
        """
        self._engine = engine
        self._library = library
        self._profile = profile
        self._pad_id = pad_id
        self._answer = answer
        self._fail = fail
        self._lock = threading.Lock()
        self._began: float | None = None
        self.answered = 0
        self.seconds = 0.0

    def issue(self, queries: Sequence[Query]) -> None:
        """Answer all queries; those of the last batches are answered after this returns."""
        try:
            if self._began is None:
                self._began = time.perf_counter()
            self._submit([(query.id, query.index) for query in queries])
        except BaseException as error:  # noqa: BLE001 - LoadGen must not see any
            self._fail(error)

    def job(self, indices: Sequence[int]) -> Job:
        """Return samples with the batches they are cut into."""
        rows = [self._library.samples[index] for index in indices]
        return Job(
            rows=rows,
            batches=self._profile.batches([len(row.input_ids) for row in rows]),
            pad_id=self._pad_id,
            name=lambda place: f"sample {indices[place]}",
        )

    def _submit(self, queries: Sequence[tuple[int, int]]) -> None:
        job = self.job([index for _, index in queries])
        ids = [number for number, _ in queries]
        for batch in job.batches:
            future = self._engine.submit(job.feeds(batch))
            future.add_done_callback(partial(self._done, job, batch, ids))

    def _done(self, job: Job, batch: Batch, ids: Sequence[int], future: Future[Arrays]) -> None:
        try:
            outputs = future.result()
            self._answer(self._answers(job, batch, ids, outputs))
        except BatchFailed as error:
            self._fail(error.named(job.describe(batch)))
        except BaseException as error:  # noqa: BLE001 - the executor would swallow it, and LoadGen wait for ever
            self._fail(error)
        with self._lock:
            self.answered += len(batch.indices)
            self.seconds = time.perf_counter() - (self._began or 0.0)

    def _answers(self, job: Job, batch: Batch, ids: Sequence[int], outputs: Arrays) -> list[Answer]:
        answers = []
        logits = stack(outputs, self._engine.name, job, batch)
        for place, index in enumerate(batch.indices):
            tokens = len(job.rows[index].input_ids)
            row = logits[place, :tokens]
            if not np.isfinite(row).all():
                raise EvaluationError(
                    f"{self._engine.name}: its logits hold NaN or Infinity for {job.name(index)}; "
                    "check the model's weights and its quantization ranges"
                )
            answers.append((ids[index], row))
        return answers


def stack(outputs: Arrays, model: str, job: Job, batch: Batch) -> NDArray[np.float32]:
    """Return start and end logits side by side: float32 [rows, length, 2].

    Raises:
        EvaluationError: an output has another shape than [rows, length].
    """
    expected = (len(batch.indices), batch.length)
    logits = np.empty((*expected, len(outputs)), np.float32)
    for place, array in enumerate(outputs):
        found: tuple[Any, ...] = array.shape
        if found != expected:
            raise EvaluationError(
                f"{model}: an output has shape {list(found)} for {job.describe(batch)}; "
                "export the model with a dynamic batch and sequence"
            )
        logits[..., place] = array
    return logits
