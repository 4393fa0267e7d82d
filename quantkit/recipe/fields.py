"""What a setting says about itself beside its type, default and description: marks in its annotation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

MarkT = TypeVar("MarkT")
Named = Literal["checkpoint", "dataset", "calibration set"]


@dataclass(frozen=True, slots=True)
class Place:
    """Marks text that may be a file or folder: a name of such a thing, else a path, looked for beside the recipe.

    Attributes:
        of: what it names.
    """

    of: Named


def mark_of(info: FieldInfo, mark: type[MarkT]) -> MarkT | None:
    """Return the mark of this class in a field's annotation, also inside `… | None` and `tuple[…, ...]`."""
    return next((found for found in _marks(info.metadata, info.annotation) if isinstance(found, mark)), None)


def _marks(metadata: Any, annotation: Any) -> Iterator[Any]:
    yield from metadata
    for inner in get_args(annotation):
        yield from _marks(getattr(inner, "__metadata__", ()), inner)


def section_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section inside an annotation such as `Section | None` or `tuple[Section, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(section_in, get_args(annotation)) if found), None)
