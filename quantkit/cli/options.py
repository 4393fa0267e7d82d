"""Options that several commands share, and the way from options to a section of the recipe."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from quantkit.errors import UsageError

if TYPE_CHECKING:
    from quantkit.recipe.settings import Section

    SectionT = TypeVar("SectionT", bound=Section)

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FOLDER = click.Path(path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


class _Alpha(click.ParamType):  # type: ignore[type-arg]
    """auto, off, or a number."""

    name = "auto|off|alpha"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Literal["auto", "off"] | float:
        """Return the word, or the number."""
        if value in ("auto", "off") or isinstance(value, float):
            return value  # type: ignore[no-any-return]
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither auto, off nor a number.", param, ctx)


ALPHA = _Alpha()

TASKS = {
    "squad": "squad",
    "question-answering": "squad",
    "text-classification": "text-classification",
}

json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object to stdout, and nothing else there."
)
output_option: Decorator = click.option(
    "-o", "--output", "output", type=FOLDER, required=True, help="Folder of the new artifact."
)
force_option: Decorator = click.option(
    "--force", is_flag=True, help="Replace the output folder if it is not empty."
)
data_dir_option: Decorator = click.option(
    "--data-dir", type=FOLDER, help="Where datasets are looked for first, before $QUANTKIT_DATA."
)
model_option: Decorator = click.option(
    "-m", "--model", "model", help="The same as the argument, as optimum and olive spell it."
)
ray_address_option: Decorator = click.option(
    "--ray-address",
    metavar="HOST:PORT",
    help="Running Ray cluster, for --engine ray [default: $RAY_ADDRESS, or here].",
)


def chosen(argument: str | None, option: str | None, what: str) -> str:
    """Return what was given, as the argument or with -m.

    Raises:
        UsageError: neither was given, or both.
    """
    if argument is not None and option is not None:
        raise UsageError(f"--model: {what} is given twice, as {argument} and as {option}; keep one")
    given = argument if argument is not None else option
    if not given:
        raise UsageError(f"{what}: is missing; name it, as the argument or with -m")
    return given


def section(
    model: "type[SectionT]", options: Mapping[str, Any], *, under: Mapping[str, Any] | None = None
) -> "SectionT":
    """Return a section of the recipe made of the options that were given.

    Args:
        model: the section.
        options: field → value; None means that the option was not given.
        under: values of a configuration file, which options win over.

    Raises:
        UsageError: naming the option and what was expected.
    """
    from quantkit.recipe.load import build_section

    given = {name: value for name, value in options.items() if value is not None}
    return build_section(
        model, {**(under or {}), **given}, name=lambda location: f"--{str(location[0]).replace('_', '-')}"
    )
