"""Pages: one HTML file each, no network, light and dark, wide and narrow. They need the extra `report`."""

from quantkit.report.pages.comparison import comparison_page
from quantkit.report.pages.search import search_page

__all__ = ["comparison_page", "search_page"]
