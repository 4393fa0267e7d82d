"""A comparison as Markdown: no text of others is markup."""

from quantkit.report.markdown import comparison_markdown


def test_markdown_shows_names_as_they_are(make_comparison) -> None:
    """A name cannot end a table's cell, its row or a command's code."""
    text = comparison_markdown(make_comparison("a|b\n`<script>*", measured=False))
    assert r"**a\|b \`\<script\>\***" in text
    assert "``quantkit bench a|b `<script>*``" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "against" in line]
    assert {line.replace(r"\|", "").count("|") for line in rows} == {6}
