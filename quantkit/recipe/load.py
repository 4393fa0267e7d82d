"""Reads recipes: strict, with the file, the line and "did you mean" in every message."""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from quantkit.errors import QuantkitError, RecipeError, UsageError
from quantkit.recipe.fields import ALONE, Section, section_in
from quantkit.recipe.new_names import with_new_name, with_new_names
from quantkit.recipe.places import checkpoint_named, kind_of, resolve_places, with_value
from quantkit.recipe.settings import Recipe
from quantkit.recipe.smaller import require_whole
from quantkit.recipe.strict_yaml import Document, Location, parse_yaml, read_yaml
from quantkit.shipped import recipes_folder

ModelT = TypeVar("ModelT", bound=BaseModel)
SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"

# What pydantic calls a type error → what the value should have been.
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a section with keys",
    "model_attributes_type": "a section with keys",
    "dict_type": "a section with keys",
}


def load_recipe(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe.

    A `checkpoint` that is a folder beside the recipe, or `quickstart` (the model that ships with quantkit),
    is replaced by its path; data files beside the recipe likewise. Everything else is kept as written.

    Args:
        path: the YAML file. A bare name such as `minilm-static` means the shipped recipe.
        overrides: dotted key → value, such as {"quantize.mode": "dynamic"}; they win over the file.

    Raises:
        RecipeError: naming the line, the key and what was expected.
    """
    file = find_recipe(path)
    document = with_new_names(read_yaml(file), Recipe, file)
    if not isinstance(document.value, dict):
        raise RecipeError(f"{file}: is not a recipe: expected keys such as name, checkpoint and quantize")
    values = resolve_places(document.value, file.parent)
    overridden: set[Location] = set()
    for key, value in (overrides or {}).items():
        location, now = with_new_name(tuple(key.split(".")), value, Recipe)
        values = with_value(values, location, now)
        overridden.add(location)

    if isinstance(values.get("checkpoint"), str):
        values = with_value(values, ("checkpoint",), checkpoint_named(values["checkpoint"]))

    def name(location: Location) -> str:
        if any(location[: len(changed)] == changed for changed in overridden):
            return f"--set {_dotted(location)}"
        return f"{_place(file, document, location)}: {_dotted(location)}"

    recipe = build_section(Recipe, values, name=name, error=RecipeError)
    if recipe.quantize.mode != "dynamic" and recipe.quantize.calib is None:
        place, mode = name(("quantize", "calib")), recipe.quantize.mode
        raise RecipeError(f"{place}: is missing; mode {mode} needs calibration data, such as squad or a file")
    require_whole(recipe, name)
    return recipe


def find_recipe(path: Path | str) -> Path:
    """Return the recipe file: the path itself, or the shipped recipe of that bare name.

    Raises:
        RecipeError: there is neither; it names the shipped recipe that is nearest.
    """
    file = Path(path)
    if kind_of(file):
        return file
    shipped = {recipe.stem: recipe for recipe in recipes_folder().glob("*.yaml")}
    if str(path) in shipped:
        return shipped[str(path)]
    raise RecipeError(f"{file}: no such recipe; {suggest(file.stem, sorted(shipped))}")


def parse_overrides(assignments: tuple[str, ...]) -> dict[str, Any]:
    """Return `section.key=value` assignments as a mapping; values are read as YAML.

    Raises:
        RecipeError: an assignment has no `=` or its value is not YAML.
    """
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key or not all(key.split(".")):
            raise RecipeError(
                f"--set {assignment}: expected section.key=value, such as quantize.mode=dynamic"
            )
        overrides[key] = parse_yaml(text, f"--set {key}").value
    return overrides


def load_section(path: Path, section: str, model: type[Section]) -> dict[str, Any]:
    """Return one section of a YAML file as plain values; the file is a recipe or the section alone.

    Raises:
        RecipeError: a key or value does not fit the section.
    """
    document = read_yaml(path)
    values = document.value if document.value is not None else {}
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: expected the keys of the section {section}")
    inner = values.get(section)
    base: Location = (section,) if section in values and section not in model.model_fields else ()
    chosen = inner if base else values
    if not isinstance(chosen, dict):
        raise RecipeError(f"{path}: {section}: expected a section with keys")
    document = with_new_names(document, model, path, base)
    chosen = document.value[section] if base else document.value or {}

    def name(location: Location) -> str:
        return f"{_place(path, document, (*base, *location))}: {_dotted((*base, *location))}"

    return build_section(model, chosen, name=name, error=RecipeError).model_dump(exclude_unset=True)


def build_section(
    model: type[ModelT],
    values: Mapping[str, Any],
    *,
    name: Callable[[Location], str],
    error: type[QuantkitError] = UsageError,
) -> ModelT:
    """Validate `values`; say in one line what is wrong with the first that does not fit.

    Args:
        model: the section, or the whole recipe.
        values: plain data.
        name: what to call a location in a message, such as `recipe.yaml:12: quantize.mode` or `--mode`.
        error: the class to raise.

    Raises:
        QuantkitError: of class `error`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as invalid:
        # A default that follows from a field above is not known where that field is wrong.
        problems = [
            problem
            for problem in invalid.errors(include_url=False)
            if problem["type"] != "default_factory_not_called"
        ]
        # Unknown keys first: a misspelt key is the likely cause of the key that is missing.
        problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise error(f"{name(first['loc'])}: {_explain(model, first)}{more}") from None


def recipe_schema() -> dict[str, Any]:
    """Return the JSON schema of recipes, for editors."""
    return {"$schema": SCHEMA_ID, **Recipe.model_json_schema(), "title": "quantkit recipe"}


def dump_section(section: Section, *, only: str | None = None) -> str:
    """Return a section as YAML that reads back the same: every value spelt out, less those that are not set.

    Args:
        section: the settings.
        only: the one key that is written; None: all.
    """
    import yaml

    values = section.model_dump(mode="json", exclude_none=True, include={only} if only else None)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)


def suggest(wrong: str, right: list[str]) -> str:
    """Return "did you mean …?", or the list of what there is when nothing is near."""
    near = difflib.get_close_matches(wrong, right, n=1)
    return f"did you mean {near[0]}?" if near else f"choose one of {', '.join(right)}"


def _explain(model: type[BaseModel], problem: ErrorDetails) -> str:
    kind, location = problem["type"], problem["loc"]
    if kind == "extra_forbidden":
        return f"unknown key; {_suggest_key(model, location)}"
    if kind == "missing":
        return "is missing; add it"
    if kind in _EXPECTED:
        quotable = kind == "string_type" and isinstance(problem["input"], int | float)
        hint = "; write it in quotes" if quotable else ""
        return f"expected {_EXPECTED[kind]}, got {_show(problem['input'])}{hint}"
    if kind == "literal_error":
        expected = problem["ctx"]["expected"]
        near = difflib.get_close_matches(str(problem["input"]), re.findall("'([^']+)'", expected))
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"expected {expected}, got {_show(problem['input'])}{hint}"
    if kind == ALONE:
        return problem["msg"]
    message = problem["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        # What is in a list or a mapping is no field, and has no example.
        field = _section_at(model, location[:-1]).model_fields.get(str(location[-1]))
        message = f"expected something like {field.examples[0]}" if field and field.examples else message
    return f"{message}, got {_show(problem['input'])}"


def _suggest_key(model: type[BaseModel], location: Location) -> str:
    """Say which key was probably meant: one of the same section, or one of the same name elsewhere."""
    section = _section_at(model, location[:-1])
    wrong, right = str(location[-1]), sorted(section.model_fields)
    if not difflib.get_close_matches(wrong, right, n=1):
        elsewhere = [key for key in _all_keys(model) if key.split(".")[-1] == wrong]
        if elsewhere:
            return f"did you mean {elsewhere[0]}?"
    return suggest(wrong, right)


def _section_at(model: type[BaseModel], location: Location) -> type[BaseModel]:
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            inner = section_in(model.model_fields[part].annotation)
            model = inner or model
    return model


def _all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        inner = section_in(field.annotation)
        if inner is not None:
            keys.extend(_all_keys(inner, f"{prefix}{name}."))
    return keys


def _place(file: Path, document: Document, location: Location) -> str:
    line = document.line(location)
    return f"{file}:{line}" if line else str(file)


def _dotted(location: Location) -> str:
    return ".".join(str(part) if str(part).isprintable() else repr(part) for part in location)


def _show(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
