"""What a search leaves in the reports of its artifact."""

import logging
from typing import Any

from quantkit.errors import UsageError
from quantkit.records.search import SearchReport
from quantkit.report.figures.pareto import pareto_png
from quantkit.report.pages.search import search_page

_LOG = logging.getLogger(__name__)
REPORT, RECIPE, PAGE, PICTURE = "search.json", "search.yaml", "search.html", "pareto.png"


def search_files(report: SearchReport, *, recipe: str) -> dict[str, Any]:
    """Return file name → content for `Artifact.write_report`.

    The page and the picture need the extra `report`. Without it they are left out with a warning: a search that took
    minutes is not lost for want of a picture.

    Args:
        report: the search.
        recipe: the text of the recipe that makes the result again.
    """
    files: dict[str, Any] = {REPORT: report.as_json(), RECIPE: recipe}
    try:
        files |= {PAGE: search_page(report, recipe=recipe), PICTURE: pareto_png(report)}
    except UsageError as error:
        _LOG.warning("%s and %s are not written: %s", PAGE, PICTURE, error)
    return files
