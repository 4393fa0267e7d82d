"""The invented search of the pages, for scripts that read one."""

from report.conftest import shape_search

__all__ = ["shape_search"]
