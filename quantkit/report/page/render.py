"""A comparison as one HTML page: no network, light and dark, wide and narrow. It needs the extra `report`."""

from importlib import resources

from quantkit.errors import UsageError
from quantkit.records.comparison import Comparison
from quantkit.report.page.view import view


def render_page(report: Comparison) -> str:
    """Return the page. The same comparison gives the same bytes.

    Raises:
        UsageError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ModuleNotFoundError as error:
        raise UsageError(
            f'the page needs {error.name}, which is not installed; run pip install "quantkit[report]"'
        ) from None
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source = resources.files("quantkit.report.page").joinpath("report.html").read_text(encoding="utf-8")
    return environment.from_string(source).render(page=view(report))
