"""What a setting says about itself beside its type, default and description: marks in its annotation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

MarkT = TypeVar("MarkT")
Named = Literal["checkpoint", "dataset", "calibration set", "code"]
ALONE = "alone"
"""What pydantic calls a value that is good for nothing without another setting; the message says which."""


class Section(BaseModel):
    """A frozen section of a recipe; unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    def as_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON, for digests and stage records."""
        return self.model_dump(mode="json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cli:
    """How a field is said on the command line, where that is not plainly `--its-name VALUE`.

    Attributes:
        names: the spellings of the option; empty for the field's name.
        metavar: what help calls the value.
        gives: the option takes no value, and means this one.
        item: the option can be repeated, and its text is this key of an entry of the list.
        beside: the other keys of such an entry, and their values.
        either: the option is one word of the list, or this one for all of them.
        words: other words that the command line takes, and what they mean.
        option: False for what only a file can say.
    """

    names: tuple[str, ...] = ()
    metavar: str = ""
    gives: bool | None = None
    item: str = ""
    beside: tuple[tuple[str, str], ...] = ()
    either: str = ""
    words: tuple[tuple[str, str], ...] = ()
    option: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Marks text that may be a file or folder: a name of such a thing, else a path, looked for beside the recipe.

    Attributes:
        of: what it names.
    """

    of: Named


@dataclass(frozen=True, slots=True)
class Was:
    """Marks a field that had another name: for one release that is read too, in recipes and as an option, and told of.

    Attributes:
        key: the old name of the field; the option's follows from it.
    """

    key: str


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
