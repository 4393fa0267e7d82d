"""A comparison as a page, as Markdown and as tables of text."""

from quantkit.report.page.markdown import render_markdown
from quantkit.report.page.render import render_page
from quantkit.report.page.tables import tables

__all__ = ["render_markdown", "render_page", "tables"]
