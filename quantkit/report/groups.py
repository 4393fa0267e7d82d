"""Short names for groups of layers: the encoder layer's number, and what the group is in every encoder layer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from quantkit.metrics.of_tasks import METRICS, metric_of
from quantkit.records.sensitivity import GroupSensitivity

_NUMBER = re.compile(r"(?:^|\.)(\d+)\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a group is: `layer` is the encoder layer's number, None outside the encoder; `kind` is for people."""

    layer: int | None
    kind: str

    def __str__(self) -> str:
        """Return both, such as `3 intermediate`."""
        return self.kind if self.layer is None else f"{self.layer} {self.kind}"


def places(groups: Sequence[GroupSensitivity]) -> tuple[Place, ...]:
    """Return the place of every group.

    `bert.encoder.layer.3.attention.self.*` is layer 3, `query, key, value`, its layers' last parts;
    `bert.encoder.layer.3.output.dense` is layer 3, `output`; `qa_outputs` is no layer, `qa_outputs`. Where two groups
    would have the same short name, all have the long one.
    """
    found = tuple(_place(group, _short(group)) for group in groups)
    return found if len(set(found)) == len(found) else tuple(_place(group, group.group) for group in groups)


def is_map(named: Sequence[Place]) -> bool:
    """Return whether the groups make a map of layers by kinds: several of each, and hardly a place empty."""
    inside = [place for place in named if place.layer is not None]
    layers, kinds = {place.layer for place in inside}, {place.kind for place in inside}
    full = len(layers) * len(kinds)
    return min(len(layers), len(kinds)) > 1 and len(inside) >= 0.9 * full and len(kinds) <= 12


def score_name(task: str) -> str:
    """Return what people call the score of a task."""
    return metric_of(task).name if task in METRICS else "score"


def _place(group: GroupSensitivity, name: str) -> Place:
    """Return the place of a group whose name, or its last part, is `name`."""
    number = _NUMBER.search(group.group)
    if number is None:
        return Place(layer=None, kind=name)
    return Place(layer=int(number[1]), kind=_after_number(name))


def _after_number(name: str) -> str:
    number = _NUMBER.search(name)
    return name if number is None else name[number.end() :]


def _short(group: GroupSensitivity) -> str:
    """Return the last parts of layers that are siblings, or the name without a last `.dense`, which says nothing."""
    parents = {layer.rpartition(".")[0] for layer in group.layers}
    if len(group.layers) > 1 and len(parents) == 1:
        return ", ".join(layer.rpartition(".")[2] for layer in group.layers)
    more = f" and {len(group.layers) - 1} more" if len(group.layers) > 1 else ""
    return _after_number(group.group).removesuffix(".dense") + more
