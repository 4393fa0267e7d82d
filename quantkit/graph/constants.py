"""Constants of a graph."""

import itertools

import numpy as np
import onnx_ir as ir


def free_name(graph: ir.Graph, name: str) -> str:
    """Return `name`, or with a number behind it, so that no constant is called so yet."""
    names = itertools.chain([name], (f"{name}.{number}" for number in itertools.count(1)))
    return next(candidate for candidate in names if candidate not in graph.initializers)


def add_initializer(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    """Register a constant under `name` (replacing one of that name) and return it."""
    value = ir.val(name, const_value=ir.tensor(array, name=name))
    graph.initializers[name] = value
    return value
