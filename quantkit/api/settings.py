"""Keywords → the settings of a section, with errors that name the keyword."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from quantkit.recipe.fields import Section
from quantkit.recipe.load import build_section

SectionT = TypeVar("SectionT", bound=Section)


def build(model: type[SectionT], keywords: Mapping[str, Any], *, function: str) -> SectionT:
    """Return the settings that keywords say.

    Args:
        model: the section.
        keywords: as the function got them; a path may be a `pathlib.Path`, also inside lists and mappings.
        function: its name, for messages.

    Raises:
        UsageError: a keyword does not exist, or its value does not fit.
    """

    def name(location: tuple[int | str, ...]) -> str:
        return f"quantkit.{function}: {'.'.join(map(str, location))}"

    return build_section(model, {key: _plain(value) for key, value in keywords.items()}, name=name)


def _plain(value: Any) -> Any:
    """Return a value with paths as text, also inside lists and mappings."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value
