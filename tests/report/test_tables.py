"""The two tables: the numbers of the write-up they are modelled on, and nothing rounded up."""

from quantkit.report.tables import tables


def _texts(line) -> tuple[str, ...]:
    return tuple(cell.text for cell in line.cells)


def test_fp32_table_has_a_gain_row_against_the_first(make_comparison) -> None:
    """Table 1: F1, parameters, size, throughput and what the second model gains."""
    first, _ = tables(make_comparison())
    assert [line.name for line in first.lines] == ["large", "small", "against the first FP32"]
    assert _texts(first.lines[1]) == ("91.08", "115.0 M", "378.0 MB", "76.0 /s")
    assert _texts(first.lines[2]) == (
        "+0.20",
        "\N{MINUS SIGN}66.2 %",
        "\N{MINUS SIGN}73.0 %",
        "6.33 \N{MULTIPLICATION SIGN}",
    )
    assert first.lines[2].cells[3].note == "6.23 to 6.43"


def test_int8_table_stands_against_fp32_and_first(make_comparison) -> None:
    """Table 2: each INT8 against its own FP32, the first INT8 and the first FP32."""
    _, second = tables(make_comparison())
    names = [(line.name, line.note) for line in second.lines if line.kind == "gain"]
    assert names == [
        ("against its FP32", "large"),
        ("against its FP32", "small"),
        ("against the first INT8", "large-int8"),
        ("against the first FP32", "large"),
    ]
    speeds = [line.cells[3].text for line in second.lines if line.kind == "gain"]
    assert speeds == [f"{text} \N{MULTIPLICATION SIGN}" for text in ("1.50", "1.53", "6.44", "9.67")]


def test_missing_numbers_are_dashes(make_comparison) -> None:
    """Without a run there is no throughput and no gain of it."""
    for table in tables(make_comparison(measured=False)):
        assert {line.cells[3].text for line in table.lines} == {"\N{EN DASH}"}
