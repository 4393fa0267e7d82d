"""The glossary holds: words that it does without do not come back as names in the code, as options or as headings."""

import ast
import functools
import importlib
import re
from pathlib import Path

import click
import pytest

from quantkit.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "quantkit"
GLOSSARY = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")

# First cell of "Words that are not used" → words, and where no class, function, parameter, field or module has them in
# its name: a room of the package, or `quantkit` less the rooms in which the word means what the glossary says.
NOT_USED: dict[str, tuple[set[str], list[str], list[str]]] = {
    "form (of a quantized model)": ({"form", "forms"}, ["."], ["graph/fusion"]),
    "nats (as a name for what is measured)": (
        {"nats"},
        ["records", "mixed_precision", "allocation", "exam"],
        [],
    ),
    "example, sample, feature, row (of a dataset)": (
        {"example", "examples", "feature", "features"},
        ["tasks", "exam", "throughput", "recipe", "mlperf", "quickstart", "runtime"],
        [],
    ),
    "evidence (of calibration)": ({"evidence"}, ["quantization", "mixed_precision", "stages/quantize"], []),
    "plan (of what becomes of layers)": ({"plan", "plans"}, ["."], ["pipeline", "cli", "quickstart"]),
    "run (of a benchmark)": ({"runs"}, ["records/bench.py", "stages/bench", "throughput"], []),
    "search (for a runtime profile, for the highest rate)": (
        {"search", "searches"},
        ["stages/tune", "stages/bench", "throughput"],
        [],
    ),
    "rounding (of a whole trained model in training)": ({"rounding"}, ["quickstart"], []),
    "split channels' parts": ({"parts"}, ["quantization/treatments"], []),
    "grid (of tried profiles, of layers in a picture)": ({"grid", "grids"}, ["stages/tune", "report"], []),
    "engine (of the search)": ({"engine"}, ["allocation"], []),
}


def rows() -> list[str]:
    """Return the first cells of the table of words that are not used."""
    table = GLOSSARY.split("## Words that are not used")[1]
    return re.findall(r"^\| (?!not \||---)(.+?) \|", table, flags=re.MULTILINE)


def words(name: str) -> set[str]:
    """Return the words that a name is made of."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


@functools.cache
def names(path: Path) -> set[str]:
    """Return what a module calls itself, its classes, functions, parameters and fields."""
    found = {path.stem}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.arg):
            found.add(node.arg)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def modules(places: list[str], without: list[str]) -> list[Path]:
    """Return the modules of rooms of the package."""
    found: list[Path] = []
    for place in places:
        path = PACKAGE / place
        found += [path] if path.suffix else sorted(path.rglob("*.py"))
    return [path for path in found if not any(path.is_relative_to(PACKAGE / room) for room in without)]


def options() -> set[str]:
    """Return the options that help shows, of all commands."""
    commands = [importlib.import_module(f"quantkit.cli.{module}").command for module, _ in COMMANDS.values()]
    return {
        spelling
        for command in commands
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
        for spelling in option.opts
    }


def test_every_word_is_looked_for() -> None:
    """Each row of the glossary's table has a check here."""
    assert rows() == list(NOT_USED)


@pytest.mark.parametrize("row", NOT_USED)
def test_a_word_that_is_not_used_names_nothing(row: str) -> None:
    """In its rooms, no name has a word in the meaning that the glossary gives to another one."""
    banned, places, without = NOT_USED[row]
    checked = modules(places, without)
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in checked
        for name in names(path)
        if words(name) & banned
    }
    assert len(checked) > 0
    assert found == set()


def test_options_and_headings_keep_to_the_words() -> None:
    """No option that help shows, and no heading of a page, counts samples, examples or features, or speaks of forms."""
    banned = {"form", "forms", "sample", "samples", "example", "examples", "feature", "features"}
    headings = {
        heading
        for page in sorted((ROOT / "docs").glob("*.md"))
        for heading in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert {name for name in options() | headings if words(name) & banned} == set()
