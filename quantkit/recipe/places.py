"""The places of a recipe: a checkpoint and data that may be files or folders, beside the recipe or on this machine.

Which fields name a place is a mark at the field (`fields.Place`).
"""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from quantkit.recipe.fields import Named, Place, mark_of, section_in
from quantkit.recipe.settings import Recipe
from quantkit.shipped import quickstart_model

Location = tuple[str, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)
QUICKSTART = "quickstart"
"""The checkpoint that ships with quantkit, by name; never a folder beside the recipe."""


def checkpoint_named(name: str) -> str:
    """Return where a checkpoint is: the folder that ships with quantkit for `quickstart`, else the name itself."""
    return str(quickstart_model()) if name == QUICKSTART else name


def place_fields(model: type[BaseModel]) -> dict[Location, Named]:
    """Return where a section, and those inside it, names a place: location → what it names."""
    return dict(_places(model, ()))


def _places(model: type[BaseModel], above: Location) -> Iterator[tuple[Location, Named]]:
    for name, info in model.model_fields.items():
        mark = mark_of(info, Place)
        if mark is not None:
            yield (*above, name), mark.of
        inner = section_in(info.annotation)
        if inner is not None:
            yield from _places(inner, (*above, name))


def kind_of(path: Path) -> str | None:
    """Return what is there, None when nothing is or when the system knows no such path (too long, a null)."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return "folder" if stat.S_ISDIR(mode) else "file"


def resolve_places(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the recipe's plain values with the checkpoint and the data that lie beside the recipe as paths.

    A checkpoint is a folder there, or begins with a dot; data is a file there, and so is the module of a function. All
    else is a name, and stays.

    Args:
        values: what the YAML file holds, right or wrong.
        folder: of the recipe.
    """
    for location, named in place_fields(Recipe).items():
        value = _value_at(values, location)
        resolved = [_resolved(one, named, folder) for one in value] if isinstance(value, list) else None
        if resolved is None:
            resolved = _resolved(value, named, folder)
        if resolved != value:
            values = with_value(values, location, resolved)
    return values


def _resolved(value: Any, named: Named, folder: Path) -> Any:
    """Return the path of what lies beside the recipe; all else as it is."""
    if not isinstance(value, str) or (named == "checkpoint" and value == QUICKSTART):
        return value
    if named == "code":
        module, colon, function = value.rpartition(":")
        script = folder / f"{module.removesuffix('.py')}.py"
        return f"{script.resolve()}:{function}" if colon and kind_of(script) == "file" else value
    beside = folder / value
    kind = kind_of(beside)
    wanted = "folder" if named == "checkpoint" else "file"
    there = kind == wanted or (named == "checkpoint" and value.startswith("."))
    return str(beside.resolve()) if there else value


def without_places(recipe: Recipe) -> Recipe:
    """Return a recipe that says nothing of this machine: of every place that is here only the name stays."""
    values: dict[str, Any] = {}
    for location in place_fields(Recipe):
        value: Any = recipe
        for part in location:
            value = getattr(value, part, None)
        plain = tuple(map(_plain, value)) if isinstance(value, tuple) else _plain(value)
        if plain != value:
            values = with_value(values, location, plain)
    return _updated(recipe, values)


def _plain(value: Any) -> Any:
    """Return the name of a place that is here; all else as it is."""
    if not isinstance(value, str):
        return value
    if kind_of(Path(value).expanduser()):
        return Path(value).name
    script, colon, function = value.rpartition(":")
    return f"{Path(script).name}:{function}" if colon and kind_of(Path(script).expanduser()) else value


def with_value(values: Mapping[str, Any], location: Location, value: Any) -> dict[str, Any]:
    """Return nested plain values with one of them replaced or added; what is in its way is replaced too."""
    first, *rest = location
    if not rest:
        return {**values, first: value}
    below = values.get(first)
    inner = below if isinstance(below, Mapping) else {}
    return {**values, first: with_value(inner, tuple(rest), value)}


def _value_at(values: Any, location: Location) -> Any:
    for part in location:
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _updated(model: ModelT, values: Mapping[str, Any]) -> ModelT:
    update = {
        name: _updated(getattr(model, name), value) if isinstance(value, Mapping) else value
        for name, value in values.items()
    }
    return model.model_copy(update=update)
