"""Settings' models → the keywords of the Python API, for editors and type checkers: `quantkit/api/keywords.py`.

its JSON schema     the type: choices are a Literal, a list is a Sequence, a section inside it a mapping of its own
`Place`             text that may be a path too
required            Required
its description     the text that an editor shows
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from quantkit.recipe.distill_settings import DistillSettings
from quantkit.recipe.fields import Place, mark_of, section_in
from quantkit.recipe.import_settings import ImportSettings
from quantkit.recipe.search_settings import SearchSettings
from quantkit.recipe.settings import (
    BenchSettings,
    EvaluateSettings,
    ExportSettings,
    FuseSettings,
    GateSettings,
    PublishSettings,
    QuantizeSettings,
    SensitivitySettings,
)

Part = tuple[type[BaseModel], Sequence[str]]
ALL: Sequence[str] = ()
_WIDTH = 108
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}

FUNCTIONS: Mapping[str, Sequence[Part]] = {
    "export": ((ExportSettings, ALL), (FuseSettings, ALL)),
    "import": ((ImportSettings, ALL),),
    "search": ((SearchSettings, ALL),),
    "distill": ((DistillSettings, ALL),),
    "quantize": ((QuantizeSettings, ALL),),
    "sensitivity": ((SensitivitySettings, ALL),),
    "evaluate": ((EvaluateSettings, ALL),),
    "gate": ((GateSettings, ALL), (EvaluateSettings, ("metric", "exact_int8", "threads"))),
    "bench": ((BenchSettings, ALL),),
    "publish": ((PublishSettings, tuple(set(PublishSettings.model_fields) - {"registry"})),),
}
"""Function → the sections whose fields are its keywords, all of them or those that are named."""


def keywords_text() -> str:
    """Return the module `quantkit/api/keywords.py`."""
    lines = [
        '"""Keywords of the API\'s functions. Made by `make generate`: change the settings\' models instead."""',
        "",
        "from collections.abc import Sequence",
        "from pathlib import Path",
        "from typing import Literal, Required, TypedDict",
    ]
    inner: dict[str, type[BaseModel]] = {}
    classes: list[str] = []
    for function, parts in FUNCTIONS.items():
        classes += _class(f"{function.capitalize()}Keywords", f"Settings of `{function}`.", parts, inner)
    for name, model in inner.items():
        summary = (model.__doc__ or name).partition("\n")[0]
        lines += _class(name, summary, ((model, ALL),), {})
    return "\n".join([*lines, *classes, ""])


def _class(name: str, summary: str, parts: Sequence[Part], inner: dict[str, type[BaseModel]]) -> list[str]:
    lines = ["", "", f"class {name}(TypedDict, total=False):", f'    """{summary}"""', ""]
    for model, only in parts:
        properties = model.model_json_schema()["properties"]
        for field, info in model.model_fields.items():
            if field in only or not only:
                lines += _field(field, info, properties[field], inner)
    return lines


def _field(
    name: str, info: FieldInfo, schema: Mapping[str, Any], inner: dict[str, type[BaseModel]]
) -> list[str]:
    section = section_in(info.annotation)
    if section is not None:
        inner[_keywords_of(section)] = section
    said = " | ".join(dict.fromkeys(_types(schema, place=mark_of(info, Place) is not None)))
    lines = [f"    {name}: {f'Required[{said}]' if info.is_required() else said}"]
    text = (info.description or "").replace("\\", "\\\\").replace('"', "'")
    if text:
        lines += textwrap.wrap(f'"""{text}"""', _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return lines


def _keywords_of(section: type[BaseModel]) -> str:
    return f"{section.__name__.removesuffix('Settings')}Keywords"


def _types(schema: Mapping[str, Any], *, place: bool) -> list[str]:
    """Return the types that a schema allows, in words of Python, `None` last."""
    if "anyOf" in schema:
        found = [kind for one in schema["anyOf"] for kind in _types(one, place=place)]
        return sorted(found, key=lambda kind: kind == "None")
    if "$ref" in schema:
        return [f"{schema['$ref'].rpartition('/')[2].removesuffix('Settings')}Keywords"]
    words = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if words:
        return [f"Literal[{', '.join(map(json.dumps, words))}]"]
    if schema["type"] == "array":
        return [f"Sequence[{' | '.join(dict.fromkeys(_types(schema['items'], place=place)))}]"]
    if schema["type"] == "null":
        return ["None"]
    return ["str", "Path"] if place and schema["type"] == "string" else [_PLAIN[schema["type"]]]
