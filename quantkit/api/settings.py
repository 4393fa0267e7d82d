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
        keywords: as the function got them; a path may be a `pathlib.Path`.
        function: its name, for messages.

    Raises:
        UsageError: a keyword does not exist, or its value does not fit.
    """

    def name(location: tuple[int | str, ...]) -> str:
        return f"quantkit.{function}: {'.'.join(map(str, location))}"

    plain = {key: str(value) if isinstance(value, Path) else value for key, value in keywords.items()}
    return build_section(model, plain, name=name)
