"""Ingredients: all that decides what a stage makes. Their key stands in stage records, ledgers and caches."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from quantkit.files import digest_of
from quantkit.records.record import Record

UNKNOWN = ""
"""The digest of an input that cannot be looked at now, such as a checkpoint that is elsewhere."""


class Ingredients(Record):
    """Digests of the inputs by name (facts of the processor are inputs too), settings, and versions of tools."""

    inputs: dict[str, str] = Field(default={})
    settings: dict[str, Any] = Field(default={})
    tools: dict[str, str] = Field(default={})

    def key(self, stage: str) -> str:
        """Return the digest that resuming compares: the same stage, made of the same."""
        return digest_of({"stage": stage, **self.model_dump()})

    def trusting(self, before: "Ingredients") -> "Ingredients":
        """Return these ingredients, with each input that is not known now as it was before."""
        inputs = {
            name: before.inputs.get(name, UNKNOWN) if digest == UNKNOWN else digest
            for name, digest in self.inputs.items()
        }
        return self.model_copy(update={"inputs": inputs})

    def differences(self, other: "Ingredients") -> str:
        """Say what is different in `other`, in a few words, such as `settings: mode static → dynamic`."""
        said = []
        for what in ("inputs", "settings", "tools"):
            mine, theirs = _flat(getattr(self, what)), _flat(getattr(other, what))
            changed = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
            if changed:
                named = (_change(name, mine.get(name), theirs.get(name), what) for name in changed)
                said.append(f"{what}: {', '.join(named)}")
        return "; ".join(said)


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested values by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return flat


def _change(name: str, before: Any, after: Any, what: str) -> str:
    if what == "inputs":
        return name
    return f"{name} {_brief(before)} → {_brief(after)}"


def _brief(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
