"""Short names for groups of layers: the encoder layer's number, and what the group is in every encoder layer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r"(?:^|\.)(\d+)\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a group is: `layer` is the encoder layer's number, None outside the encoder; `kind` is for people."""

    layer: int | None
    kind: str

    def __str__(self) -> str:
        """Return both, such as `3 intermediate`."""
        return self.kind if self.layer is None else f"{self.layer} {self.kind}"


def places(groups: Sequence[str]) -> tuple[Place, ...]:
    """Return the place of every group.

    `bert.encoder.layer.3.attention.self.{query,key,value}` is layer 3, `query, key, value`;
    `bert.encoder.layer.3.output.dense` is layer 3, `output`; `qa_outputs` is no layer, `qa_outputs`. Where two groups
    would have the same short name, all have the long one.
    """
    found = tuple(_place(group, _short) for group in groups)
    return found if len(set(found)) == len(found) else tuple(_place(group, str) for group in groups)


def is_grid(named: Sequence[Place]) -> bool:
    """Return whether the groups make a map of layers by kinds: several of each, and hardly a place empty."""
    inside = [place for place in named if place.layer is not None]
    layers, kinds = {place.layer for place in inside}, {place.kind for place in inside}
    full = len(layers) * len(kinds)
    return min(len(layers), len(kinds)) > 1 and len(inside) >= 0.9 * full and len(kinds) <= 12


def score_name(task: str) -> str:
    """Return what people call the score of a task."""
    return "F1" if task == "squad" else "accuracy"


def _place(group: str, name: Callable[[str], str]) -> Place:
    number = _NUMBER.search(group)
    if number is None:
        return Place(layer=None, kind=name(group))
    return Place(layer=int(number[1]), kind=name(group[number.end() :]))


def _short(rest: str) -> str:
    """Return the last part in braces, or what is before `.dense`, which says nothing."""
    if rest.endswith("}") and "{" in rest:
        return ", ".join(rest[rest.rindex("{") + 1 : -1].split(","))
    return rest.removesuffix(".dense")
