"""Which settings decide what a stage makes: all of them, less those that a mark at the field leaves out.

A field that names data (`fields.Place`) is left out too: what is in the data decides, not what it is called.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from quantkit.recipe.fields import Named, Place, mark_of


@dataclass(frozen=True, kw_only=True, slots=True)
class NotInKey:
    """Marks a field that does not decide what a stage makes: `Annotated[str, NotInKey(because="…")]`.

    Attributes:
        because: why another value gives the same result.
        unless: another field of the section and its value, with which this one does decide.
    """

    because: str
    unless: tuple[str, str | bool] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedData:
    """Data that a section names, and that decides what is made.

    Attributes:
        field: the name of the field; of a section inside, with a dot.
        kind: what it names.
        name: a name of such data, or the path of a file.
    """

    field: str
    kind: Named
    name: str


def in_key(section: BaseModel) -> dict[str, Any]:
    """Return the settings that decide what is made, as plain JSON."""
    return {name: _plain(value) for name, value, place in _deciding(section) if place is None}


def data_in_key(section: BaseModel) -> Iterator[NamedData]:
    """Yield the data that the section, and those inside it, name."""
    for name, value, place in _deciding(section):
        if isinstance(value, BaseModel):
            for inner in data_in_key(value):
                yield NamedData(field=f"{name}.{inner.field}", kind=inner.kind, name=inner.name)
        elif place is not None and isinstance(value, tuple):
            for number, entry in enumerate(value):
                yield NamedData(field=f"{name}.{number}", kind=place.of, name=entry)
        elif place is not None and value is not None:
            yield NamedData(field=name, kind=place.of, name=value)


def _deciding(section: BaseModel) -> Iterator[tuple[str, Any, Place | None]]:
    """Yield name, value and place of each field that is not left out."""
    for name, info in type(section).model_fields.items():
        left_out = mark_of(info, NotInKey)
        if left_out is None or _decides_here(section, left_out):
            yield name, getattr(section, name), mark_of(info, Place)


def _decides_here(section: BaseModel, mark: NotInKey) -> bool:
    if mark.unless is None:
        return False
    field, value = mark.unless
    return bool(getattr(section, field) == value)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return in_key(value)
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return to_jsonable_python(value)
