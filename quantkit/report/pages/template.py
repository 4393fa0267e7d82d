"""A page from its template; the templates are in `templates/` and only place what they are given."""

import importlib
from importlib import resources
from typing import Any

from quantkit.errors import UsageError
from quantkit.printable import spelled_out


def require_jinja() -> None:
    """Check that pages can be made.

    Raises:
        UsageError: jinja2 is not installed.
    """
    try:
        importlib.import_module("jinja2")
    except ModuleNotFoundError as error:
        raise UsageError(
            f'the page needs {error.name}, which is not installed; run pip install "quantkit[report]"'
        ) from None


def render(template: str, page: dict[str, Any]) -> str:
    """Return the page that a template makes of `page`. The same words give the same bytes.

    Every text is escaped but `markupsafe.Markup`, and what is no letter in it is spelled out.

    Raises:
        UsageError: jinja2 is not installed.
    """
    require_jinja()
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        finalize=_plain,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{template}.html").render(page=page)


def _text(name: str) -> str:
    return resources.files("quantkit.report.pages").joinpath("templates", name).read_text(encoding="utf-8")


def _plain(value: Any) -> Any:
    """Return what a page says: text of others with everything that is no letter spelled out."""
    return spelled_out(value) if type(value) is str else value
