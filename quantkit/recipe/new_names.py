"""Keys that had another name (`fields.Was`): the old one is read for one release, and a warning says so."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from quantkit.errors import RecipeError
from quantkit.recipe.fields import Was, mark_of, section_in
from quantkit.recipe.strict_yaml import Document, Location

_LOG = logging.getLogger(__name__)


def with_new_names(document: Document, model: type[BaseModel], file: Path, base: Location = ()) -> Document:
    """Return a document with the keys as they are called now, on the lines of the old ones; warn of each.

    Args:
        document: what the file holds, right or wrong.
        model: of the section that it is.
        file: what messages call it.
        base: where in the document the section is.

    Raises:
        RecipeError: a key is given under both names.
    """
    value, lines = document.value, dict(document.lines)
    for old, new in list(_old_keys(_at(value, base), model, base)):
        place = f"{file}:{document.line(old)}"
        if new[-1] in _at(value, new[:-1]):
            raise RecipeError(f"{place}: {_dotted(old)}: is the old name of {new[-1]}, given too; keep one")
        _LOG.warning("%s: %s: is called %s now; write that", place, _dotted(old), new[-1])
        value = _renamed(value, old, str(new[-1]))
        lines |= {(*new, *at[len(old) :]): line for at, line in lines.items() if at[: len(old)] == old}
    return Document(value=value, lines=lines)


def with_new_name(
    location: tuple[str, ...], value: Any, model: type[BaseModel]
) -> tuple[tuple[str, ...], Any]:
    """Return one `--set` of a recipe with the keys as they are called now; warn of each that had another name."""
    nested: Any = value
    for part in reversed(location):
        nested = {part: nested}
    for old, new in list(_old_keys(nested, model, ())):
        _LOG.warning("--set %s: is called %s now; write that", _dotted(old), new[-1])
        nested = _renamed(nested, old, str(new[-1]))
    now: list[str] = []
    for _ in location:
        ((part, nested),) = nested.items()
        now.append(part)
    return tuple(now), nested


def _old_keys(values: Any, model: type[BaseModel], at: Location) -> Iterator[tuple[Location, Location]]:
    """Yield where an old name is used, and where that is now."""
    if isinstance(values, list):
        for index, entry in enumerate(values):
            yield from _old_keys(entry, model, (*at, index))
    if not isinstance(values, dict):
        return
    for name, info in model.model_fields.items():
        was, inner = mark_of(info, Was), section_in(info.annotation)
        if was is not None and was.key in values:
            yield (*at, was.key), (*at, name)
        if inner is not None and name in values:
            yield from _old_keys(values[name], inner, (*at, name))


def _at(values: Any, location: Location) -> Any:
    for part in location:
        values = values[part]
    return values


def _renamed(values: Any, old: Location, new: str) -> Any:
    """Return nested plain values with one key renamed, in its place."""
    first, *rest = old
    if rest:
        inner = _renamed(values[first], tuple(rest), new)
        if isinstance(values, list):
            return [inner if index == first else entry for index, entry in enumerate(values)]
        return {**values, first: inner}
    return {new if key == first else key: entry for key, entry in values.items()}


def _dotted(location: Location) -> str:
    return ".".join(map(str, location))
