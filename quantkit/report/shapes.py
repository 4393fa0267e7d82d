"""The shapes of a comparison's models side by side, layer by layer, where they are not all alike."""

from collections.abc import Sequence

from quantkit.records.comparison import Comparison
from quantkit.records.inspection import EncoderLayer
from quantkit.report.digits import NONE, TIMES
from quantkit.report.tables import Cell, Line, NumberTable


def shape_table(report: Comparison) -> NumberTable | None:
    """Return heads and feed-forward width of every layer of every model.

    Artifacts of one shape, such as a model and its INT8, share a column. None when nothing differs: all layers of all
    models are alike, or no artifact says what its layers are.
    """
    models: dict[tuple[EncoderLayer, ...], str] = {}
    for entry in report.entries:
        if entry.encoder:
            models.setdefault(entry.encoder, entry.name)
    if len({layer for layers in models for layer in layers}) < 2:
        return None
    most = max(map(len, models))
    return NumberTable(
        key="shape",
        caption="Shape: heads and feed-forward width of each layer",
        note=f"{NONE}: missing.",
        first="layer",
        columns=tuple(models.values()),
        lines=tuple(
            Line(
                kind="layer",
                name=str(number),
                cells=tuple(Cell(text=_words(layers, number)) for layers in models),
            )
            for number in range(most)
        ),
    )


def _words(layers: Sequence[EncoderLayer], number: int) -> str:
    if number >= len(layers):
        return NONE
    layer = layers[number]
    heads = f"{layer.heads} {TIMES} {layer.head_size}" if layer.heads else NONE
    return f"{heads}, {layer.feed_forward:,}" if layer.feed_forward else f"{heads}, {NONE}"
