"""The table of shapes: layer by layer, one column for each shape, and none where there is nothing to see."""

from quantkit.records import EncoderLayer
from quantkit.report.markdown import comparison_markdown
from quantkit.report.pages import comparison_page
from quantkit.report.shapes import shape_table

WHOLE = EncoderLayer(heads=12, head_size=64, feed_forward=3072)
NARROW = EncoderLayer(heads=0, head_size=64, feed_forward=512)
DEAF = EncoderLayer(heads=3, head_size=64, feed_forward=0)


def with_shapes(report, large: tuple[EncoderLayer, ...], small: tuple[EncoderLayer, ...]):
    """Return a comparison whose first two artifacts have one shape, and the others another."""
    shapes = (large, large, small, small)
    entries = [
        entry.model_copy(update={"encoder": shape})
        for entry, shape in zip(report.entries, shapes, strict=True)
    ]
    return report.model_copy(update={"entries": tuple(entries)})


def test_layers_stand_side_by_side(make_comparison) -> None:
    """An artifact and its INT8 share a column; a missing part and a missing layer are dashes; all outputs have it."""
    report = with_shapes(make_comparison(), (WHOLE, WHOLE, WHOLE), (NARROW, DEAF))
    table = shape_table(report)
    assert table is not None
    assert table.columns == ("large", "small")
    rows = [(line.name, *(cell.text for cell in line.cells)) for line in table.lines]
    whole = "12 \N{MULTIPLICATION SIGN} 64, 3,072"
    assert rows == [
        ("0", whole, "\N{EN DASH}, 512"),
        ("1", whole, "3 \N{MULTIPLICATION SIGN} 64, \N{EN DASH}"),
        ("2", whole, "\N{EN DASH}"),
    ]
    assert f"| **1** | {whole} | 3 \N{MULTIPLICATION SIGN} 64, \N{EN DASH} |" in comparison_markdown(report)
    assert table.caption in comparison_page(report)


def test_shapes_that_are_alike_are_not_shown(make_comparison) -> None:
    """Equal layers in all models, or layers that nobody knows, give no table; unlike layers of one model do."""
    assert shape_table(make_comparison()) is None
    assert shape_table(with_shapes(make_comparison(), (WHOLE, WHOLE), (WHOLE, WHOLE))) is None
    assert shape_table(with_shapes(make_comparison(), (), (WHOLE, DEAF))) is not None
