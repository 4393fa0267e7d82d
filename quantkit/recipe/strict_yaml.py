"""Strict YAML: plain data only, every key once, and the line of every value for messages.

Scalars follow YAML 1.2: `yes`, `no`, `on` and `off` are words, `1e-4` is a number, dates stay text. YAML 1.1,
which PyYAML implements, would turn `reduce_range: yes` into a truth value and `atol: 1e-4` into text.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from quantkit.errors import RecipeError

Location = tuple[str | int, ...]


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
    return int(loader.construct_scalar(node))


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file; name a recipe, such as recipes/quickstart.yaml") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: is not UTF-8 text; name a YAML file") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Document:
    """Parse YAML text; `name` is what messages call it.

    Raises:
        RecipeError: it is not YAML, has a key twice, or holds anything but plain data.
    """
    lines: dict[Location, int] = {}
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Document(value=None, lines=lines)
            _walk(node, (), lines, name, ())
            return Document(value=loader.construct_document(node), lines=lines)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise RecipeError(f"{where}: is not plain YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(f"{name}: is not plain YAML: {first}") from None


def _walk(
    node: yaml.Node, location: Location, lines: dict[Location, int], name: str, above: tuple[int, ...]
) -> None:
    """Note the line of everything below `node`; refuse keys given twice, keys that are no words, cycles."""
    if id(node) in above:
        raise RecipeError(f"{name}:{node.start_mark.line + 1}: an alias leads back to itself; write it out")
    lines.setdefault(location, node.start_mark.line + 1)
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            _walk(entry, (*location, index), lines, name, above)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, entry in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise RecipeError(f"{name}:{line}: a key must be a word")
            if key.value in seen:
                dotted = ".".join(str(part) for part in (*location, key.value))
                raise RecipeError(
                    f"{name}:{line}: the key {' '.join(dotted.split())} is given twice; keep one"
                )
            seen.add(key.value)
            lines[*location, key.value] = line
            _walk(entry, (*location, key.value), lines, name, above)
