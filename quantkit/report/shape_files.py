"""What a search for shapes leaves beside its checkpoints."""

import logging
from pathlib import Path

from quantkit.errors import UsageError
from quantkit.files import write_json
from quantkit.records import ShapeSearch
from quantkit.report.figures.shapes import shapes_png
from quantkit.report.pages.shapes import shapes_page

_LOG = logging.getLogger(__name__)
REPORT, PAGE, PICTURE = "search.json", "search.html", "shape.png"


def write_shape_files(report: ShapeSearch, folder: Path) -> None:
    """Write the report, its page and its picture.

    The page and the picture need the extra `report`. Without it they are left out with a warning: a search that took
    an hour is not lost for want of a picture.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_json(folder / REPORT, report.as_json())
    try:
        page, picture = shapes_page(report), shapes_png(report)
    except UsageError as error:
        _LOG.warning("%s and %s are not written: %s", PAGE, PICTURE, error)
        return
    (folder / PAGE).write_text(page, encoding="utf-8")
    (folder / PICTURE).write_bytes(picture)
