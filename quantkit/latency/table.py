"""Table: what was measured before, in the user's cache; one for each CPU, onnxruntime version and number of tokens."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import onnxruntime
from pydantic import Field, PositiveFloat

from quantkit.errors import OutputError
from quantkit.files import cache_folder, digest_of, write_json
from quantkit.records.record import Record
from quantkit.runtime.cpu import cpu_facts
from quantkit.strict_json import read_json

_FORMAT: Literal["quantkit/cost/2"] = "quantkit/cost/2"
_LOG = logging.getLogger(__name__)


class Row(Record):
    """One line: what was measured (`Snippet.describe`), and microseconds per 1,000 tokens."""

    of: dict[str, Any]
    microseconds: PositiveFloat


class _Content(Record):
    """The file."""

    format: Literal["quantkit/cost/2"] = Field(alias="schema")
    key: str
    rows: tuple[Row, ...]


class Table:
    """The table of one number of tokens in so many rows; it grows."""

    def __init__(self, tokens: int, rows: int = 1) -> None:
        """Name the file. Nothing is read yet."""
        facts = cpu_facts()
        self._key = digest_of(
            {
                "format": _FORMAT,
                "model": facts.model,
                **facts.kernels_json(),
                "onnxruntime": onnxruntime.__version__,
                "tokens": tokens,
                **({"rows": rows} if rows > 1 else {}),
            }
        )
        self._path: Path = cache_folder() / "cost" / f"{self._key}.json"

    def read(self) -> dict[str, Row]:
        """Return what is known, by digest of what it is of; nothing where the table is absent, broken or another's."""
        try:
            content = _Content.model_validate(read_json(self._path))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):  # a ValidationError is one
            _LOG.warning("%s: is not a table of costs; they are measured anew", self._path)
            return {}
        return {digest_of(row.of): row for row in content.rows} if content.key == self._key else {}

    def add(self, rows: Mapping[str, Row]) -> None:
        """Write rows beside those that another process has added meanwhile."""
        rows = {**self.read(), **rows}
        content = _Content(schema=_FORMAT, key=self._key, rows=tuple(rows.values()))
        try:
            write_json(self._path, content.model_dump(mode="json", by_alias=True))
        except OutputError as error:
            _LOG.warning("the costs are not kept: %s", error)
