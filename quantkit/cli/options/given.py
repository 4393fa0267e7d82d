"""What was said on the command line about the settings, and how it becomes a section."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from quantkit.cli.options.option import Option

if TYPE_CHECKING:
    from pydantic import BaseModel

    SectionT = TypeVar("SectionT", bound=BaseModel)

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """The settings that were given, and none that were not.

    Attributes:
        said: section → field, or field of a section inside it → value.
    """

    said: Mapping[str, Mapping[Path, Any]] = field(default_factory=dict)

    def build(self, model: "type[SectionT]", *, under: Mapping[str, Any] | None = None) -> "SectionT":
        """Return a section made of the options that were given.

        Args:
            model: the section.
            under: values of a configuration file, which options win over.

        Raises:
            UsageError: naming the option and what was expected.
        """
        from quantkit.recipe.load import build_section
        from quantkit.recipe.places import with_value

        values = dict(under or {})
        for path, value in self.said.get(model.__name__, {}).items():
            values = with_value(values, path, value)
        return build_section(model, values, name=lambda location: _name(model.__name__, location))

    def one(self, model: "type[BaseModel]", name: str) -> Any:
        """Return one setting of a section: what was given, else its default."""
        said = self.said.get(model.__name__, {})
        return said.get((name,), model.model_fields[name].default)

    def options(self, model: "type[BaseModel]", inside: str) -> list[str]:
        """Return the options that were given for the section `inside` another one."""
        said = self.said.get(model.__name__, {})
        return [
            option.names[0]
            for option in _options(model.__name__)
            if len(option.path) > 1 and option.path[0] == inside and option.path in said
        ]

    def with_section(self, section: str, collected: Mapping[Option, Any]) -> "Given":
        """Return it with what click collected for the options of one more section."""
        values = {option.path: option.value(value) for option, value in collected.items()}
        said = {path: value for path, value in values.items() if value is not None}
        return Given({**self.said, section: said})


def _options(section: str) -> tuple[Option, ...]:
    from quantkit.cli.options.table import OPTIONS

    return OPTIONS[section]


def _name(section: str, location: tuple[str | int, ...]) -> str:
    """Return the option that a location in a section is said with."""
    for option in _options(section):
        if location[: len(option.path)] == option.path:
            return option.names[0]
    return f"--{str(location[0]).replace('_', '-')}"
