"""The two tables: the numbers of the write-up they are modelled on, and nothing rounded up."""

from quantkit.report.page import render_markdown, tables
from quantkit.report.page.tables import change, kept, points, rate, score, size


def _texts(line) -> tuple[str, ...]:
    return tuple(cell.text for cell in line.cells)


def test_fp32_table_has_a_gain_row_against_the_first(make_comparison) -> None:
    """Table 1: F1, parameters, size, throughput and what the second model gains."""
    first, _ = tables(make_comparison())
    assert ["large", "small", "against the first FP32"] == [line.name for line in first.lines]
    assert ("91.08", "115.0 M", "378.0 MB", "76.0 /s") == _texts(first.lines[1])
    assert (
        "+0.20",
        "\N{MINUS SIGN}66.2 %",
        "\N{MINUS SIGN}73.0 %",
        "6.33 \N{MULTIPLICATION SIGN}",
    ) == _texts(first.lines[2])
    assert "6.23 to 6.43" == first.lines[2].cells[3].note


def test_int8_table_stands_against_fp32_and_first(make_comparison) -> None:
    """Table 2: each INT8 against its own FP32, the first INT8 and the first FP32."""
    _, second = tables(make_comparison())
    names = [(line.name, line.note) for line in second.lines if line.kind == "gain"]
    assert [
        ("against its FP32", "large"),
        ("against its FP32", "small"),
        ("against the first INT8", "large-int8"),
        ("against the first FP32", "large"),
    ] == names
    speeds = [line.cells[3].text for line in second.lines if line.kind == "gain"]
    assert [f"{text} \N{MULTIPLICATION SIGN}" for text in ("1.50", "1.53", "6.44", "9.67")] == speeds


def test_missing_numbers_are_dashes(make_comparison) -> None:
    """Without a run there is no throughput and no gain of it."""
    for table in tables(make_comparison(measured=False)):
        assert {"\N{EN DASH}"} == {line.cells[3].text for line in table.lines}


def test_scores_are_cut_never_rounded() -> None:
    """90.7831 of 90.784 asked, or a loss of 0.001, must not look better than it is."""
    assert "90.78" == score(90.7899)
    assert "99.899 %" == kept(0.9989999)
    assert "\N{MINUS SIGN}0.01" == points(-0.001)
    assert "+0.00" == points(0.0009)


def test_units() -> None:
    """Sizes are powers of ten; no change is 0 %."""
    assert ("1.40 GB", "95.0 MB", "4.6 kB") == (size(1_400_000_000), size(95_000_000), size(4_600))
    assert "0 %" == change(1.0001)
    assert ("9.2 /s", "1,373 /s") == (rate(9.18), rate(1373.4))


def test_markdown_shows_names_as_they_are(make_comparison) -> None:
    """A name cannot end a table's cell, its row or a command's code."""
    text = render_markdown(make_comparison("a|b\n`<script>*", measured=False))
    assert r"**a\|b \`\<script\>\***" in text
    assert "``quantkit bench a|b `<script>*``" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "against" in line]
    assert {6} == {line.replace(r"\|", "").count("|") for line in rows}
