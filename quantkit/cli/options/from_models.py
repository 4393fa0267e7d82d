"""Settings' models → options: what `table.py` holds. Only `generate` imports this; the command line reads the table.

the field's name, or `Cli.names`     spelling
`Was`                                its old spelling, which is hidden
its JSON schema                      kind and choices
its default                          what help says of it
its description                      help; of choices that are names of a table, with what the table says of them
`Place`                              what a shell offers
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from quantkit.cli.options.option import Kind, Option
from quantkit.cli.options.places import Kind as PlaceKind
from quantkit.mlperf.settings import EntrySettings, MlperfSettings, ProfileChanges
from quantkit.pinned import DATASETS
from quantkit.recipe.distill_settings import DistillSettings
from quantkit.recipe.fields import Cli, Place, Was, mark_of, section_in
from quantkit.recipe.import_settings import ImportSettings
from quantkit.recipe.places import QUICKSTART
from quantkit.recipe.search_settings import SearchSettings
from quantkit.recipe.settings import (
    BenchSettings,
    EvaluateSettings,
    ExportSettings,
    FuseSettings,
    GateSettings,
    PublishSettings,
    QuantizeSettings,
    Recipe,
    SensitivitySettings,
    TuneSettings,
)
from quantkit.tables import OneOf
from quantkit.tasks import calibration_set

SECTIONS: tuple[type[BaseModel], ...] = (
    Recipe,
    DistillSettings,
    ExportSettings,
    ImportSettings,
    FuseSettings,
    QuantizeSettings,
    SensitivitySettings,
    SearchSettings,
    EvaluateSettings,
    BenchSettings,
    TuneSettings,
    GateSettings,
    PublishSettings,
    MlperfSettings,
    EntrySettings,
    ProfileChanges,
)
"""The sections whose fields are options."""
_FIELD = re.compile(
    rf"\b({'|'.join(sorted(name for model in SECTIONS for name in model.model_fields if '_' in name))})\b"
)


def options_of(model: type[BaseModel], above: tuple[str, ...] = ()) -> list[Option]:
    """Return a section's fields as options, those of sections inside it too unless they have a line of their own."""
    options = []
    schema = model.model_json_schema()
    for name, info in model.model_fields.items():
        mark = mark_of(info, Cli) or Cli()
        inner = section_in(info.annotation)
        if not mark.option:
            continue
        if inner is None or mark.item:
            options.append(_option((*above, name), info, mark, schema["properties"][name]))
        elif inner not in SECTIONS:
            options += options_of(inner, (*above, name))
    return options


def table_text() -> str:
    """Return the module `table.py`: two lines for each option."""
    lines = [
        '"""Options of the settings, as click must know them. Made by `make generate`: change the models instead."""',
        "",
        "from quantkit.cli.options.option import Option",
        "",
        "OPTIONS: dict[str, tuple[Option, ...]] = {",
    ]
    for model in SECTIONS:
        lines.append(f'    "{model.__name__}": (')
        for option in options_of(model):
            lines += _entry(option)
        lines.append("    ),")
    return "\n".join((*lines, "}", '"""Section → its options, in the order of its fields."""', ""))


def _option(path: tuple[str, ...], info: FieldInfo, mark: Cli, schema: Mapping[str, Any]) -> Option:
    shape = _shape(schema)
    many = shape.get("type") == "array" and not mark.either
    kind, choices = _kind(shape.get("items", shape) if shape.get("type") == "array" else shape)
    names = mark.names or (_spelled(path[-1]),)
    if mark.gives is not None:
        kind = "flag"
    elif kind == "switch":
        names = (*names, f"--no-{names[0].removeprefix('--')}")
    place, was = mark_of(info, Place), mark_of(info, Was)
    return Option(
        path=path,
        names=names,
        was=(_spelled(was.key),) if was else (),
        help=_help(path, info, mark, repeatable=many),
        kind="text" if mark.item else kind,
        choices=choices,
        default=_default(info, mark, names) if kind != "flag" else "",
        metavar=mark.metavar,
        many=many,
        required=info.is_required(),
        gives=mark.gives,
        item=mark.item,
        beside=mark.beside,
        either=mark.either,
        words=mark.words,
        place=_place_kind(place),
        known=_known(place),
    )


def _spelled(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _shape(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a field's schema less the possibility that it is not set."""
    shapes = [shape for shape in schema.get("anyOf", ()) if shape.get("type") != "null"]
    return shapes[0] if len(shapes) == 1 else schema


def _kind(shape: Mapping[str, Any]) -> tuple[Kind, tuple[str, ...]]:
    shapes = shape.get("anyOf", [shape])
    words = tuple(
        word for one in shapes for word in one.get("enum", [one["const"]] if "const" in one else ())
    )
    types = {one.get("type") for one in shapes}
    if "boolean" in types:
        return "switch", ()
    if words:
        return ("choice" if types == {"string"} else "word or number"), words
    kinds: dict[Any, Kind] = {"integer": "integer", "number": "number"}
    return kinds.get(shape.get("type"), "text"), ()


def _help(path: tuple[str, ...], info: FieldInfo, mark: Cli, *, repeatable: bool) -> str:
    """Return the description as a sentence; other settings are named as their options are."""
    text, default, otherwise = (info.description or "").partition("; default: ")
    if mark.gives is False:
        text = text.removeprefix("false: ")
    table = mark_of(info, OneOf)
    if table is not None:
        told = "; ".join(f"{name}: {table.table[name]}" for name in table.names)
        text = f"{text} ({told})"
    text += " (repeatable)" if repeatable else ""
    text = ": ".join((*path[:-1], f"{text}{default}{otherwise}"))
    text = _FIELD.sub(lambda found: _spelled(found[0]), text)
    first = text.split()[0] if text else ""
    if not first.endswith(":"):
        text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _default(info: FieldInfo, mark: Cli, names: tuple[str, ...]) -> str:
    default = info.default
    if info.is_required() or default in (None, ()) or info.default_factory is not None:
        return ""
    if mark.either:
        return mark.either
    if isinstance(default, bool):
        return names[0 if default else -1].removeprefix("--")
    if isinstance(default, tuple):
        return ", ".join(default)
    return f"{default:.10g}" if isinstance(default, int | float) else str(default)


def _place_kind(place: Place | None) -> PlaceKind | None:
    if place is None or place.of == "code":
        return None
    return "dir" if place.of == "checkpoint" else "file"


def _known(place: Place | None) -> tuple[str, ...]:
    if place is None:
        return ()
    known = {
        "checkpoint": (QUICKSTART,),
        "dataset": tuple(DATASETS),
        "calibration set": tuple(calibration_set.names()),
    }
    return known.get(place.of, ())


def _entry(option: Option) -> list[str]:
    said = {
        field.name: getattr(option, field.name)
        for field in dataclasses.fields(option)
        if getattr(option, field.name) != field.default
    }
    text = said.pop("help")
    words = ", ".join(f"{name}={value!r}" for name, value in said.items())
    return [f"        Option({words},", f"               help={text!r}),"]
