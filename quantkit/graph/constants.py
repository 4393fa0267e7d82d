"""Constants of a graph."""

import numpy as np
import onnx_ir as ir


def add_initializer(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    """Register a constant under `name` (replacing one of that name) and return it."""
    value = ir.val(name, const_value=ir.tensor(array, name=name))
    graph.initializers[name] = value
    return value
