"""The tables of names: everything behind a name is there, and settings know no other names."""

from typing import Annotated

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from quantkit import tables
from quantkit.tables import ENGINES, RANGE_METHODS, OneOf, Table

TABLES = {name: table for name, table in vars(tables).items() if isinstance(table, Table)}


@pytest.mark.parametrize(
    ("name", "entry"), [(name, entry) for name in TABLES for entry in TABLES[name].loaded()]
)
def test_what_a_name_stands_for_is_there(name: str, entry: str) -> None:
    """Every place of a table can be imported, and every name says in words what it is."""
    table = TABLES[name]
    assert table.loaded()[entry] is table.load(entry)
    assert table[entry]


def test_name_with_nothing_behind_it() -> None:
    """A name that says it all can be chosen and not be loaded."""
    assert "minmax" in RANGE_METHODS
    assert list(RANGE_METHODS.loaded()) == ["percentile", "entropy", "mse"]
    with pytest.raises(KeyError):
        RANGE_METHODS.load("minmax")


def test_field_takes_the_names_of_its_table() -> None:
    """A field is a choice of the table's names, or of those it allows, for checks and for the schema."""

    class Section(BaseModel):
        engine: Annotated[str, OneOf(ENGINES)] = "threads"
        near: Annotated[str, OneOf(ENGINES, only=("threads", "processes"))] | None = None

    assert Section(engine="ray").engine == "ray"
    with pytest.raises(ValidationError, match="'threads' or 'processes'"):
        Section(near="ray")
    schema = TypeAdapter(Section).json_schema()["properties"]
    assert schema["engine"] == {
        "default": "threads",
        "enum": ["threads", "processes", "ray"],
        "title": "Engine",
        "type": "string",
    }
