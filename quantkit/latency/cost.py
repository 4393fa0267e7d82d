"""What pieces of a graph cost: their latency, measured on this machine.

A piece is a model of its own (`snippet`) and is opened like any artifact. What comes before and after it in a whole
model costs the same whatever the piece is, and is not in it.

How it is measured, and why:

1. All models are open at once and run in turn, in another order every round: a model then finds the caches as it
   does inside an encoder, full of other layers' weights, and whatever slows the machine down slows all of them.
2. The clock counts the time that the thread spent on the CPU. With one thread that is the latency of a machine that
   has nothing else to do; with wall time, other programs' turns on the core would be counted.
3. Of the times of all rounds the lower quartile is kept. Disturbance (memory traffic of others, lower clock rates) only
   adds time, so the median is too high once half of the rounds were disturbed. The minimum would fall with
   the number of rounds, and times from tables of different effort could not be compared.

The results are kept in one table for each CPU, onnxruntime version and number of tokens (`table`).
"""

import math
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import onnxruntime

from quantkit.errors import UsageError
from quantkit.files import digest_of
from quantkit.graph.model import save_model
from quantkit.latency.snippet import BATCH, SEQUENCE, Snippet
from quantkit.latency.table import Row, Table
from quantkit.latency.turns import in_turns
from quantkit.progress import track
from quantkit.runtime.session import Written, open_model

_WARM_UP_ROUNDS = 2
# Whatever the budget is, so many are measured; a quartile of fewer is nothing.
_LEAST_ROUNDS = 5
# Without a budget: after so many rounds, as soon as the first half of them gives the same result; never more than most.
_USUAL_ROUNDS = 12
_MOST_ROUNDS = 60
_AGREEMENT = 0.01
_QUARTILE = 0.25
AnySnippet = TypeVar("AnySnippet", bound=Snippet)


@dataclass(kw_only=True, slots=True)
class _Open:
    """One snippet, open, with its inputs and outputs in place, and the seconds of every round."""

    session: onnxruntime.InferenceSession
    binding: onnxruntime.IOBinding
    seconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Compute it once. Outputs stay where they are: allocating them is not the layers' cost."""
        self.session.run_with_iobinding(self.binding)

    def estimate(self, rounds: int) -> float:
        """Return the lower quartile of the first `rounds` times, in seconds."""
        return float(np.quantile(self.seconds[:rounds], _QUARTILE))


def measure_costs(
    snippets: Iterable[AnySnippet], *, tokens: int, rows: int = 1, seconds_budget: float | None = None
) -> dict[AnySnippet, float]:
    """Return what each snippet costs on one thread of this CPU, in microseconds per 1,000 tokens.

    Args:
        snippets: what to measure. Those that the table knows are not measured again.
        tokens: how many tokens a row has.
        rows: how many rows run at once.
        seconds_budget: the time to stop after. A few rounds are measured in any case. None: until more rounds
            would hardly change anything.

    Returns:
        Snippet → cost, in the order of the snippets.

    Raises:
        UsageError: there is not a single token, or row.
        QuantizationError: onnxruntime does not run what a snippet asks for.
    """
    if min(tokens, rows) < 1:
        raise UsageError(f"the cost of {rows} rows of {tokens} tokens cannot be measured; give 1 or more")
    keys = {snippet: digest_of(snippet.describe()) for snippet in snippets}
    table = Table(tokens, rows)
    known = table.read()
    # Described alike is measured once.
    missing = {key: snippet for snippet, key in keys.items() if key not in known}
    if missing:
        measured = _measure(list(missing.values()), {BATCH: rows, SEQUENCE: tokens}, seconds_budget)
        for (key, snippet), microseconds in zip(missing.items(), measured, strict=True):
            known[key] = Row(of=dict(snippet.describe()), microseconds=microseconds)
        table.add(known)
    return {snippet: known[key].microseconds for snippet, key in keys.items()}


def measure_beside(
    snippets: Sequence[Snippet], *, tokens: int, rows: int = 1, seconds_budget: float | None = None
) -> list[float]:
    """Return what each snippet costs, all of them measured now, in turn: their ratios are those of one machine.

    The table is neither read nor written; arguments and errors are those of `measure_costs`.
    """
    return _measure(snippets, {BATCH: rows, SEQUENCE: tokens}, seconds_budget)


def times_the_first(
    snippets: Sequence[Snippet], *, tokens: int, rows: int, rounds: int, seconds_budget: float
) -> list[list[float]]:
    """Return how many times as fast as the first snippet each of the others is on one thread, once for each round.

    Args:
        snippets: open at once, each run once a round.
        tokens: how many tokens a row has.
        rows: how many rows run at once.
        rounds: so many at most.
        seconds_budget: the time to stop after; a few rounds are measured in any case.

    Raises:
        QuantizationError: onnxruntime does not run what a snippet asks for.
    """
    opened = [_open(snippet, {BATCH: rows, SEQUENCE: tokens}) for snippet in snippets]
    clock = _clock()

    def seconds(of: _Open) -> float:
        begun = clock()
        of.run()
        return clock() - begun

    return in_turns([partial(seconds, one) for one in opened], rounds=rounds, seconds=seconds_budget)


def _measure(snippets: Sequence[Snippet], sizes: Mapping[str, int], budget: float | None) -> list[float]:
    """Return microseconds per 1,000 tokens of each."""
    started = time.monotonic()
    opened = []
    with track("cost: open", len(snippets), "groups") as advance:
        for snippet in snippets:
            opened.append(_open(snippet, sizes))
            advance(1)
    clock = _clock()
    order = random.Random(0)  # noqa: S311  (no secret)
    with track("cost: measure", _WARM_UP_ROUNDS + _MOST_ROUNDS, "rounds") as advance:
        for number in range(_WARM_UP_ROUNDS + _MOST_ROUNDS):
            for one in order.sample(opened, len(opened)):
                begun = clock()
                one.run()
                if number >= _WARM_UP_ROUNDS:
                    one.seconds.append(clock() - begun)
            advance(1)
            spent = time.monotonic() - started
            if _is_enough(opened, number + 1 - _WARM_UP_ROUNDS, spent, budget):
                break
    tokens = math.prod(sizes.values())
    return [1e6 * one.estimate(len(one.seconds)) * 1000 / tokens for one in opened]


def _is_enough(opened: Sequence[_Open], rounds: int, spent: float, budget: float | None) -> bool:
    """Tell whether to stop after `rounds`: the budget is spent, or half as many gave the same times in sum."""
    if budget is not None and spent >= budget:
        return rounds >= _LEAST_ROUNDS
    if rounds < _USUAL_ROUNDS:
        return False
    changes = [abs(one.estimate(rounds) - one.estimate(rounds // 2)) for one in opened]
    return sum(changes) <= _AGREEMENT * sum(one.estimate(rounds) for one in opened)


def _clock() -> Callable[[], float]:
    """Return the thread's CPU clock, or wall time where that ticks in milliseconds (Windows)."""
    coarse = time.get_clock_info("thread_time").resolution > 1e-6
    return time.perf_counter if coarse else time.thread_time


def _open(snippet: Snippet, sizes: Mapping[str, int]) -> _Open:
    """Build a snippet's model, check what onnxruntime makes of it, and lay out its inputs and outputs.

    Raises:
        QuantizationError: onnxruntime does not run what the snippet asks for.
    """
    with tempfile.TemporaryDirectory(prefix="quantkit-cost-") as folder:
        path, optimized = Path(folder) / "snippet.onnx", Path(folder) / "optimized.onnx"
        save_model(snippet.build(), path)
        session = open_model(path, name=f"cost of {snippet}", writes=Written(optimized_model=optimized))
        snippet.check(onnx.load(optimized, load_external_data=False).graph)
    binding = session.io_binding()
    for given in session.get_inputs():
        shape = [sizes.get(size, size) for size in given.shape]
        # Of token ids and masks, 1 is one that every model has.
        whole = given.type == "tensor(int64)"
        values = (
            np.ones(shape, np.int64) if whole else np.random.default_rng(0).standard_normal(shape, np.float32)
        )
        binding.bind_ortvalue_input(given.name, onnxruntime.OrtValue.ortvalue_from_numpy(values))
    for output in session.get_outputs():
        shape = [sizes.get(size, size) for size in output.shape]
        room = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
        binding.bind_ortvalue_output(output.name, room)
    return _Open(session=session, binding=binding)
