"""What everything that becomes JSON shares: no other keys than its own, no NaN; and of files, a schema name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quantkit.errors import ArtifactError
from quantkit.strict_json import read_json


class Record(BaseModel):
    """A frozen JSON record that knows no other keys than its own, and no number that JSON does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False, defer_build=True
    )


class Report(Record):
    """A JSON file that other programs rely on; `schema` says which.

    `upgrades` has, for every older schema that can still be read, what gives its content today's names.
    """

    upgrades: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    format: str = Field(alias="schema")

    def as_json(self) -> dict[str, Any]:
        """Return the plain JSON object, as written to disk and printed by `--json`."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a report, also one of an older schema that has an upgrade.

        Raises:
            ArtifactError: it is missing, is not JSON, or is another kind or version of report.
        """
        try:
            content = read_json(path)
        except FileNotFoundError:
            raise ArtifactError(f"{path}: no such report; make it first") from None
        except ValueError as error:
            raise ArtifactError(f"{path}: is not JSON ({error}); make the report again") from None
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read: {error.strerror}; make the report again") from None
        expected = cls.model_fields["format"].default
        schema = content.get("schema") if isinstance(content, dict) else None
        if isinstance(schema, str) and schema in cls.upgrades:
            content, schema = cls.upgrades[schema](content) | {"schema": expected}, expected
        if schema != expected:
            raise ArtifactError(f"{path}: is not a {expected} report; make it again with this version")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ArtifactError(f"{path}: {where}: {first['msg']}; make the report again") from None


def renamed(content: Any, **names: str) -> Any:
    """Return an object of JSON with keys renamed, `old="new"`; what is no object is returned as it is."""
    if not isinstance(content, dict):
        return content
    return {names.get(key, key): value for key, value in content.items()}


def within(content: Any, key: str, change: Callable[[Any], Any]) -> Any:
    """Return an object of JSON with every element of the list `key` changed; where there is none, as it is."""
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
        return content
    return content | {key: [change(element) for element in content[key]]}
