"""What a group of layers costs under each scheme: its latency, measured on this machine.

A group (the layers that read one tensor) becomes a model of its own (`group_model`) and is opened like any artifact.
What comes before and after it costs the same under every scheme, and is not in it.

How it is measured, and why:

1. All models are open at once and run in turn, in another order every round: a model then finds the caches as it
   does inside an encoder, full of other layers' weights, and whatever slows the machine down slows all of them.
2. The clock counts the time that the thread spent on the CPU. With one thread that is the latency of a machine that
   has nothing else to do; with wall time, other programs' turns on the core would be counted.
3. Of the times of all rounds the lower quartile is kept. Disturbance (memory traffic of others, lower clock rates) only
   adds time, so the median is too high once half of the rounds were disturbed. The minimum would fall with
   the number of rounds, and times from tables of different effort could not be compared.

The results are kept in one table for each CPU, onnxruntime version and number of tokens; it grows.
"""

import logging
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from pydantic import Field, PositiveFloat, ValidationError

from quantkit.errors import OutputError, UsageError
from quantkit.files import cache_folder, digest_of, write_json
from quantkit.graph.model import save_model
from quantkit.mixed_precision.group_model import INPUT, CostRequest, check_kernels, group_model
from quantkit.progress import track
from quantkit.records.record import Record
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.session import open_model

__all__ = ["CostRequest", "measure_costs"]

_FORMAT: Literal["quantkit/cost/1"] = "quantkit/cost/1"
_WARM_UP_ROUNDS = 2
# Whatever the budget is, so many are measured; a quartile of fewer is nothing.
_LEAST_ROUNDS = 5
# Without a budget: after so many rounds, as soon as the first half of them gives the same result; never more than most.
_USUAL_ROUNDS = 12
_MOST_ROUNDS = 60
_AGREEMENT = 0.01
_QUARTILE = 0.25
_LOG = logging.getLogger(__name__)


class _Row(Record):
    """One line of the table: the request, and microseconds per 1,000 tokens."""

    request: CostRequest
    microseconds: PositiveFloat


class _Table(Record):
    """The file in the cache."""

    format: Literal["quantkit/cost/1"] = Field(alias="schema")
    key: str
    rows: tuple[_Row, ...]


@dataclass(kw_only=True, slots=True)
class _Candidate:
    """One request, open, with its input and outputs in place, and the seconds of every round."""

    request: CostRequest
    session: onnxruntime.InferenceSession
    binding: onnxruntime.IOBinding
    seconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Compute the group once. Outputs stay where they are: allocating them is not the layers' cost."""
        self.session.run_with_iobinding(self.binding)

    def estimate(self, rounds: int) -> float:
        """Return the lower quartile of the first `rounds` times, in seconds."""
        return float(np.quantile(self.seconds[:rounds], _QUARTILE))


def measure_costs(
    requests: Iterable[CostRequest], *, tokens: int, seconds_budget: float | None = None
) -> dict[CostRequest, float]:
    """Return what each request costs on one thread of this CPU, in microseconds per 1,000 tokens.

    Args:
        requests: what to measure. Those that the cache knows are not measured again.
        tokens: how many tokens run at once.
        seconds_budget: the time to stop after. A few rounds are measured in any case. None: until more rounds
            would hardly change anything.

    Returns:
        Request → cost, in the order of the requests.

    Raises:
        UsageError: there is not a single token.
        QuantizationError: onnxruntime does not run the kernels that the scheme asks for.
    """
    if tokens < 1:
        raise UsageError(f"the cost of {tokens} tokens cannot be measured; give 1 or more")
    wanted = list(dict.fromkeys(requests))
    key = _key(tokens)
    path = cache_folder() / "cost" / f"{key}.json"
    known = _read_table(path, key)
    missing = [request for request in wanted if request not in known]
    if missing:
        measured = _measure(missing, tokens, seconds_budget)
        # Read again: another process may have added to it while this one measured.
        known = {**_read_table(path, key), **measured, **known}
        _write_table(path, key, known)
    return {request: known[request] for request in wanted}


def _measure(requests: Sequence[CostRequest], tokens: int, budget: float | None) -> dict[CostRequest, float]:
    started = time.monotonic()
    candidates = []
    with track("cost: open", len(requests), "groups") as advance:
        for request in requests:
            candidates.append(_open(request, tokens))
            advance(1)
    clock = _clock()
    order = random.Random(0)  # noqa: S311  (no secret)
    with track("cost: measure", _WARM_UP_ROUNDS + _MOST_ROUNDS, "rounds") as advance:
        for number in range(_WARM_UP_ROUNDS + _MOST_ROUNDS):
            for candidate in order.sample(candidates, len(candidates)):
                begun = clock()
                candidate.run()
                if number >= _WARM_UP_ROUNDS:
                    candidate.seconds.append(clock() - begun)
            advance(1)
            spent = time.monotonic() - started
            if _is_enough(candidates, number + 1 - _WARM_UP_ROUNDS, spent, budget):
                break
    return {
        candidate.request: 1e6 * candidate.estimate(len(candidate.seconds)) * 1000 / tokens
        for candidate in candidates
    }


def _is_enough(candidates: Sequence[_Candidate], rounds: int, spent: float, budget: float | None) -> bool:
    """Tell whether to stop after `rounds`: the budget is spent, or half as many gave the same times in sum."""
    if budget is not None and spent >= budget:
        return rounds >= _LEAST_ROUNDS
    if rounds < _USUAL_ROUNDS:
        return False
    changes = [abs(one.estimate(rounds) - one.estimate(rounds // 2)) for one in candidates]
    return sum(changes) <= _AGREEMENT * sum(one.estimate(rounds) for one in candidates)


def _clock() -> Callable[[], float]:
    """Return the thread's CPU clock, or wall time where that ticks in milliseconds (Windows)."""
    coarse = time.get_clock_info("thread_time").resolution > 1e-6
    return time.perf_counter if coarse else time.thread_time


def _open(request: CostRequest, tokens: int) -> _Candidate:
    """Build the model of one request, check what onnxruntime makes of it, and lay out its input and outputs.

    Raises:
        QuantizationError: onnxruntime does not run the kernels that the scheme asks for.
    """
    with tempfile.TemporaryDirectory(prefix="quantkit-cost-") as folder:
        path, optimized = Path(folder) / "group.onnx", Path(folder) / "optimized.onnx"
        save_model(group_model(request), path)
        session = open_model(path, name=f"cost of {request}", optimized_model=optimized)
        check_kernels(request, onnx.load(optimized, load_external_data=False).graph)
    values = np.random.default_rng(0).standard_normal((1, tokens, request.inputs), np.float32)
    binding = session.io_binding()
    binding.bind_ortvalue_input(INPUT, onnxruntime.OrtValue.ortvalue_from_numpy(values))
    for output, width in zip(session.get_outputs(), request.outputs, strict=True):
        room = onnxruntime.OrtValue.ortvalue_from_shape_and_type([1, tokens, width], np.float32)
        binding.bind_ortvalue_output(output.name, room)
    return _Candidate(request=request, session=session, binding=binding)


def _key(tokens: int) -> str:
    """Return the digest of all that a table is about."""
    facts = cpu_facts()
    return digest_of(
        {
            "format": _FORMAT,
            "model": facts.model,
            **facts.kernels_json(),
            "onnxruntime": onnxruntime.__version__,
            "tokens": tokens,
        }
    )


def _read_table(path: Path, key: str) -> dict[CostRequest, float]:
    """Return what is known; nothing when there is no table, or it is broken or another's."""
    try:
        table = _Table.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError):
        _LOG.warning("%s: is not a table of costs; they are measured anew", path)
        return {}
    return {row.request: row.microseconds for row in table.rows} if table.key == key else {}


def _write_table(path: Path, key: str, known: dict[CostRequest, float]) -> None:
    rows = tuple(_Row(request=request, microseconds=cost) for request, cost in known.items())
    table = _Table(schema=_FORMAT, key=key, rows=rows)
    try:
        write_json(path, table.model_dump(mode="json", by_alias=True))
    except OutputError as error:
        _LOG.warning("the costs are not kept: %s", error)
