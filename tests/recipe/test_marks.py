"""Marks: which settings decide what is made."""

from typing import Annotated

from quantkit.recipe.fields import Place
from quantkit.recipe.marks import NamedData, NotInKey, data_in_key, in_key
from quantkit.recipe.settings import Section


class Inner(Section):
    """A section inside."""

    data: Annotated[str | None, Place("dataset")] = None
    slack: float = 0.5


class Outer(Section):
    """A section with everything that can be marked."""

    mode: str = "plain"
    data: Annotated[str, Place("calibration set")] = "squad"
    address: Annotated[str | None, NotInKey(because="where it runs changes no byte")] = None
    inner: Annotated[Inner, NotInKey(because="only a search looks at it", unless=("mode", "search"))] = (
        Inner()
    )
    several: tuple[Inner, ...] = ()
    more: Annotated[tuple[Annotated[str, Place("dataset")], ...], "one after the other"] = ()


def test_all_that_is_not_marked_is_in_the_key() -> None:
    """Settings are in the key, those of sections inside too, and neither marked ones nor names of data."""
    section = Outer(address="here:1", several=(Inner(data="x.json"),))
    assert in_key(section) == {"mode": "plain", "several": [{"slack": 0.5}]}


def test_a_mark_can_end() -> None:
    """What decides only beside another setting is in the key beside it, and its data counts then."""
    inner = Inner(data="x.json")
    plain, search = Outer(inner=inner), Outer(mode="search", inner=inner)
    assert "inner" not in in_key(plain)
    assert in_key(search)["inner"] == {"slack": 0.5}
    named = NamedData(field="data", kind="calibration set", name="squad")
    assert list(data_in_key(plain)) == [named]
    assert list(data_in_key(search)) == [named, NamedData(field="inner.data", kind="dataset", name="x.json")]


def test_several_names_of_data() -> None:
    """A field that names several datasets has each of them in the key, by its place."""
    found = list(data_in_key(Outer(more=("a.json", "b.json"))))[1:]
    assert found == [
        NamedData(field="more.0", kind="dataset", name="a.json"),
        NamedData(field="more.1", kind="dataset", name="b.json"),
    ]


def test_data_that_is_not_named_is_no_data() -> None:
    """A field that names nothing gives no digest to look for."""
    assert [data.field for data in data_in_key(Outer(mode="search"))] == ["data"]
