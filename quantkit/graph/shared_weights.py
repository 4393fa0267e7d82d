"""Weights that several layers of a graph share (ALBERT): which they are, and written once again after a rewrite."""

from collections import defaultdict
from collections.abc import Sequence

import onnx_ir as ir

from quantkit.files import sha256_bytes
from quantkit.graph.linear import Linear


def sharing(layers: Sequence[Linear]) -> tuple[tuple[str, ...], ...]:
    """Return the names of layers that read one weight, for each weight that several do, in graph order."""
    readers: dict[str, list[str]] = defaultdict(list)
    for layer in layers:
        readers[layer.weight.name or ""].append(layer.name)
    return tuple(tuple(names) for names in readers.values() if len(names) > 1)


def share_again(graph: ir.Graph, shared: Sequence[Sequence[str]]) -> None:
    """Store what layers that shared a weight have in common once: values, scales and zero points that are equal.

    A rewrite gives every layer initializers of its own, `<layer>.<what>`. Those of one kind with the same bytes become
    the first layer's.

    Args:
        graph: after layers were rewritten.
        shared: what `sharing` returned before.
    """
    for names in shared:
        first: dict[tuple[str, str, str], ir.Value] = {}
        for name in names:
            own = [entry for entry in graph.initializers if entry.startswith(f"{name}.")]
            for value in (graph.initializers[entry] for entry in own):
                assert value.const_value is not None
                array = value.const_value.numpy()
                kind = (value.name or "").removeprefix(name)
                key = (kind, f"{array.dtype}{array.shape}", sha256_bytes(array.tobytes()))
                kept = first.setdefault(key, value)
                if kept is not value:
                    value.replace_all_uses_with(kept)
                    graph.initializers.pop(value.name or "")
