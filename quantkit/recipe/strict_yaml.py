"""Strict YAML: plain data only, every key once, bounded, and the line of every value for messages.

Scalars follow YAML 1.2: `yes`, `no`, `on` and `off` are words, `1e-4` is a number, dates stay text. YAML 1.1,
which PyYAML implements, would turn `reduce_range: yes` into a truth value and `atol: 1e-4` into text.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from quantkit.errors import RecipeError
from quantkit.strict_json import read_limited

Location = tuple[str | int, ...]

# Recipes that a search writes have 30,000 letters. PyYAML needs up to 20 s for a million, and what aliases stand for
# counts wherever it stands: ten lines of them can stand for a billion values.
_LARGEST = 1 << 18
_MOST_VALUES = 100_000
_DEEPEST = 50
_DIGITS = 64
_STRING, _SEQUENCE, _MAPPING = (f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))
_PLAIN = {
    _STRING,
    _SEQUENCE,
    _MAPPING,
    *(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")),
}


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2 and without tags, anchors that merge, or dates."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    digits = loader.construct_scalar(node)
    if len(digits) > _DIGITS:
        raise ValueError(f"line {node.start_mark.line + 1}: a number of {len(digits):,} digits")
    return int(digits)


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    value = float(loader.construct_scalar(node))
    if not math.isfinite(value):
        raise ValueError(f"line {node.start_mark.line + 1}: a number that is too large")
    return value


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A YAML document: its value, and the line (from 1) of every key and list entry by location."""

    value: Any
    lines: dict[Location, int]

    def line(self, location: Location) -> int | None:
        """Return the line of a location, or of the nearest thing around it that has one."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)


def read_yaml(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        RecipeError: it cannot be read, is not YAML, or has a key twice.
    """
    try:
        text = read_limited(path, largest=_LARGEST).decode("utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file; name a recipe, such as recipes/quickstart.yaml") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: is not UTF-8 text; name a YAML file") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise RecipeError(f"{path}: is no recipe: {error}; name a YAML file") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Document:
    """Parse YAML text; `name` is what messages call it.

    Raises:
        RecipeError: it is not YAML, has a key twice, or holds anything but plain data.
    """
    if len(text) > _LARGEST:
        raise RecipeError(f"{name}: is no recipe: it has {len(text):,} letters, more than {_LARGEST:,}")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Document(value=None, lines={})
            walk = _Walk(loader=loader, name=name)
            walk.over(node, (), ())
            return Document(value=loader.construct_document(node), lines=walk.lines)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise RecipeError(f"{where}: is not plain YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(f"{name}: is not plain YAML: {first}") from None


@dataclass(kw_only=True, slots=True)
class _Walk:
    """A walk over everything in a document, before it is made into values.

    Attributes:
        loader: knows what a plain scalar is.
        name: what messages call the document.
        lines: of every key and list entry.
        values: how many were seen, those behind aliases every time.
    """

    loader: _Loader
    name: str
    lines: dict[Location, int] = field(default_factory=dict)
    values: int = 0

    def over(self, node: yaml.Node, location: Location, above: tuple[int, ...]) -> None:
        """Note the line of everything below `node`.

        Raises:
            RecipeError: a key is given twice or is no word, a tag is none of plain data or does not fit its value, or
                there are more values than a recipe has.
        """
        line = node.start_mark.line + 1
        if id(node) in above:
            raise self._error(line, "an alias leads back to itself; write it out")
        self.values += 1
        if self.values > _MOST_VALUES:
            raise self._error(
                line, f"more than {_MOST_VALUES:,} values, those that aliases stand for included"
            )
        if len(above) > _DEEPEST:
            raise self._error(line, f"sections are nested more than {_DEEPEST} deep")
        self._check_tag(node, line)
        self.lines.setdefault(location, line)
        above = (*above, id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, entry in enumerate(node.value):
                self.over(entry, (*location, index), above)
        if isinstance(node, yaml.MappingNode):
            self._over_keys(node, location, above)

    def _over_keys(self, node: yaml.MappingNode, location: Location, above: tuple[int, ...]) -> None:
        seen: set[str] = set()
        for key, entry in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(line, "a key must be a word")
            self._check_tag(key, line)
            if key.value in seen:
                dotted = ".".join(str(part) for part in (*location, key.value))
                raise self._error(line, f"the key {' '.join(dotted.split())} is given twice; keep one")
            seen.add(key.value)
            self.lines[*location, key.value] = line
            self.over(entry, (*location, key.value), above)

    def _check_tag(self, node: yaml.Node, line: int) -> None:
        """Refuse tags written out that are none of plain data, or that their value is none of, as `!!bool abc`."""
        if node.tag not in _PLAIN:
            raise self._error(line, f"is not plain YAML: the tag {node.tag} is not known here")
        if isinstance(node, yaml.ScalarNode) and node.tag != _STRING:
            resolved: str = self.loader.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
            fits = resolved == node.tag
        else:
            kinds = {_STRING: yaml.ScalarNode, _SEQUENCE: yaml.SequenceNode, _MAPPING: yaml.MappingNode}
            fits = isinstance(node, kinds.get(node.tag, yaml.ScalarNode))
        if not fits:
            raise self._error(line, f"is not plain YAML: the value is no {node.tag.rpartition(':')[2]}")

    def _error(self, line: int, what: str) -> RecipeError:
        return RecipeError(f"{self.name}:{line}: {what}")
