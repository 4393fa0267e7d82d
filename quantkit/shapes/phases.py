"""Phases: what a search does, in order, and how long each part is expected to take: what its progress line is cut by.

The unit is a trial: one option of one block, built as INT8 and answering the damage questions. How many trials another
part is worth was measured on MiniLM; the time left is judged by the pace at hand, so only ratios count.
"""

from collections.abc import Iterator

from quantkit.architectures import EncoderShape
from quantkit.recipe.search_settings import SearchSettings
from quantkit.records.shapes import BASELINES
from quantkit.shapes.blocks import Block
from quantkit.shapes.options import unit_counts

_EXPORT = 15.0
_OBSERVED, _ANSWERED = 12.0, 2.0
"""Of a question, as FP32: with second moments of all that is read, and without; in questions answered as INT8."""
_ORDER, _PRICE = 0.5, 0.1
"""Of a block, and of an option."""
_BUILT = 25.0
"""Of a candidate: healed, twice quantized as well as can be, timed."""
_CHECK = 30.0


def expected(shape: EncoderShape, settings: SearchSettings) -> dict[str, float]:
    """Return part of the search → trials that it is expected to be worth.

    Args:
        shape: of the teacher.
        settings: of the search.
    """
    blocks = list(_blocks(shape))
    options = sum(len(unit_counts(block, settings.step)) - 1 for block in blocks)
    one = settings.damage_questions
    judged = _BUILT + 2 + settings.select_questions / one
    return {
        "export": _EXPORT,
        "moments": _OBSERVED * settings.data_questions / one,
        "order": _ORDER * len(blocks),
        "answers": _ANSWERED * (one + settings.select_questions) / one,
        "damage": 1.0 + options,
        "price": _PRICE * options,
        "teacher": judged / 2,
        "candidates": judged * (settings.candidates + len(BASELINES)),
        "check": _CHECK,
    }


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
