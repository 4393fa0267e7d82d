"""Phases: what a search does, in order, how long each part is expected to take, which cuts its progress line, and took.

The unit is a trial: one option of one block, built as INT8 and answering the damage questions. How many trials another
part is worth was measured on MiniLM; the time left is judged by the pace at hand, so only ratios count.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from quantkit.allocation.journal import Journal
from quantkit.architectures import EncoderShape
from quantkit.progress import Phase
from quantkit.recipe.search_settings import SearchSettings
from quantkit.records.shapes import BASELINES
from quantkit.shapes.blocks import Block
from quantkit.shapes.options import float_counts, unit_counts

_QUESTIONS, _EXPORT = 1.0, 15.0
_OBSERVED, _ANSWERED = 12.0, 2.0
"""Of a question, as FP32: with second moments of all that is read, and without; in questions answered as INT8."""
_ORDER, _PRICE = 0.5, 0.1
"""Of a block, and of an option."""
_BUILT = 25.0
"""Of a candidate: healed, twice quantized as well as can be, timed."""
_FINALISTS, _CHECK = 15.0, 30.0


class Laps:
    """What the parts of a search took.

    Attributes:
        started: `time.monotonic()` when the first began.
        seconds: part → seconds, now.
        trials: part → seconds of each of its trials, whenever they were measured; all of it where it has none.
        journal: of the trials, as soon as there is one.
    """

    def __init__(self, phase: Phase) -> None:
        """Begin; `phase` shows a part by its name."""
        self._phase = phase
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.trials: dict[str, tuple[float, ...]] = {}
        self.journal: Journal | None = None

    @contextmanager
    def part(self, name: str, works: int = 1) -> Iterator[None]:
        """Show a part while the block runs, and note its time."""
        known = len(self._times)
        with self._phase(name, works=works):
            yield
        self.seconds[name] = time.monotonic() - self.started - sum(self.seconds.values())
        self.trials[name] = tuple(self._times[known:]) or (self.seconds[name],)

    @property
    def _times(self) -> Sequence[float]:
        return self.journal.times if self.journal else ()


def expected(shape: EncoderShape, settings: SearchSettings) -> dict[str, float]:
    """Return part of the search → trials that it is expected to be worth.

    Args:
        shape: of the teacher.
        settings: of the search.
    """
    blocks = list(_blocks(shape))
    options = options_of(shape, settings)
    one = settings.damage_questions
    judged = _BUILT + 2 + settings.select_questions / one
    return {
        "questions": _QUESTIONS,
        "export": _EXPORT,
        "moments": _OBSERVED * settings.data_questions / one,
        "order": _ORDER * len(blocks),
        "answers": _ANSWERED * (one + settings.select_questions) / one,
        "damage": 1.0 + options,
        "price": _PRICE * options,
        "teacher": judged / 2,
        "candidates": judged * (settings.candidates + len(BASELINES)),
        "finalists": _FINALISTS,
        "check": _CHECK,
    }


def options_of(shape: EncoderShape, settings: SearchSettings) -> int:
    """Return how many options a search has the damage of: all but whole blocks as INT8."""
    blocks, step = list(_blocks(shape)), settings.step
    in_float = sum(len(float_counts(block, step)) for block in blocks) if settings.float_blocks else 0
    return in_float + sum(len(unit_counts(block, step)) - 1 for block in blocks)


def _blocks(shape: EncoderShape) -> Iterator[Block]:
    for number, layer in enumerate(shape.layers):
        if layer.heads:
            yield Block(
                layer=number,
                kind="attention",
                path="",
                units=layer.heads,
                size=layer.head_size,
                hidden=layer.hidden,
            )
        if layer.feed_forward:
            yield Block(
                layer=number,
                kind="feed_forward",
                path="",
                units=layer.feed_forward,
                size=1,
                hidden=layer.hidden,
            )
