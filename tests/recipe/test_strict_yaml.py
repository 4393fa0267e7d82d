"""YAML of any kind is plain data or a RecipeError in one line, in a time that its size bounds."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import RecipeError
from quantkit.recipe.strict_yaml import parse_yaml, read_yaml

BOMB = "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
REFUSED = {
    "a bool that is none": ("a: !!bool abc", "1: is not plain YAML: the value is no bool"),
    "a number that is none": ("a: !!int x", "1: is not plain YAML: the value is no int"),
    "a float that is none": ("a: !!float []", "1: is not plain YAML: the value is no float"),
    "a list that is none": ("a: !!seq {}", "1: is not plain YAML: the value is no seq"),
    "a mapping that is none": ("a: !!map x", "1: is not plain YAML: the value is no map"),
    "a text that is none": ("a: !!str [x]", "1: is not plain YAML: the value is no str"),
    "a date": ("a: !!timestamp x", "the tag tag:yaml.org,2002:timestamp is not known"),
    "bytes": ("a: !!binary '*'", "the tag tag:yaml.org,2002:binary is not known"),
    "a set": ("a: !!set {b}", "the tag tag:yaml.org,2002:set is not known"),
    "Python": ("a: !!python/object/apply:os.system [x]", "is not known"),
    "a key with a tag": ("!!python/name:os.system : 1", "is not known"),
    "values behind aliases": (BOMB, "more than 100,000 values, those that aliases stand for included"),
    "an alias to itself": ("a: &a [*a]", "an alias leads back to itself"),
    "lists, deep": ("[" * 60 + "]" * 60, "nested more than 50 deep"),
    "lists, deeper than Python goes": ("[" * 20_000, "is not plain YAML"),
    "a number of 5,000 digits": (f"a: {'9' * 5000}", "a number of 5,000 digits"),
    "a number that overflows": ("a: 1e999", "a number that is too large"),
    "two documents": ("a: 1\n---\na: 2", "is not plain YAML"),
    "a control character": ("a: \x1b[2J", "is not plain YAML"),
    "half a pair": ('a: "\\ud800"', None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    """What no recipe has is one line that names the place."""
    text, said = REFUSED[name]
    if said is None:  # PyYAML takes it, and it is refused where it is used
        assert parse_yaml(text, "r.yaml").value == {"a": "\ud800"}
        return
    with pytest.raises(RecipeError, match=re.escape(said)) as caught:
        parse_yaml(text, "r.yaml")
    assert str(caught.value).startswith("r.yaml:")
    assert "\n" not in str(caught.value)


def test_tags_that_fit_are_taken() -> None:
    """A tag written out that says what the value is anyway, or that it is text, changes nothing."""
    assert parse_yaml("a: !!int 3\nb: !!str 3\nc: !!seq [1]\nd: !!bool true", "r").value == {
        "a": 3,
        "b": "3",
        "c": [1],
        "d": True,
    }


def test_aliases_are_taken() -> None:
    """Aliases that stand for little are values like others."""
    assert parse_yaml("a: &x {b: 1}\nc: *x", "r").value == {"a": {"b": 1}, "c": {"b": 1}}


def test_size(tmp_path: Path) -> None:
    """A file or an argument of 20 MB is not looked into."""
    (tmp_path / "large.yaml").write_text("a: " + "x" * 20_000_000)
    with pytest.raises(RecipeError, match="is no recipe: it has more than 262,144 bytes; name a YAML file"):
        read_yaml(tmp_path / "large.yaml")
    with pytest.raises(RecipeError, match="20,000,000 letters, more than 262,144"):
        parse_yaml("x" * 20_000_000, "--set a")


@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@\n\t ,?~0."), max_size=200) | st.text(max_size=100))
def test_any_text_is_a_value_or_a_recipe_error(text: str) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(RecipeError):
        parse_yaml(text, "r.yaml")
