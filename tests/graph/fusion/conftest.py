"""Tiny graphs written as ONNX text, and onnxruntime to run them before and after a pass."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest

from quantkit.graph.fusion.clean_up import CleanUp
from quantkit.graph.fusion.passes import PassResult

Arrays = dict[str, np.ndarray]


def parse(text: str, weights: Mapping[str, Any], *, opset: int = 17) -> ir.Model:
    """Return the model of `text`, a graph in ONNX's text form; `weights` are its initializers."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()
    )
    model = ir.from_proto(proto)
    for number, node in enumerate(model.graph):
        node.name = node.name or f"{node.op_type}_{number}"
    return model


def compute(model: ir.Model, feeds: Arrays) -> list[np.ndarray]:
    """Run a model as it is, without onnxruntime's own fusions."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    return session.run(None, {entry.name: feeds[entry.name] for entry in session.get_inputs()})


def operators(model: ir.Model) -> list[str]:
    """Return the operators of a graph, in order."""
    return [node.op_type for node in model.graph]


class Workbench:
    """What a test of a pass needs, in one fixture."""

    parse = staticmethod(parse)
    compute = staticmethod(compute)
    operators = staticmethod(operators)

    @staticmethod
    def fuse(make: Callable[[], Callable[[ir.Model], PassResult]], model: ir.Model) -> PassResult:
        """Run one pass, then clean up."""
        result = make()(model)
        CleanUp()(model)
        return result

    @classmethod
    def fuse_and_compare(
        cls,
        make: Callable[[], Callable[[ir.Model], PassResult]],
        model: ir.Model,
        feeds: Arrays,
        *,
        atol: float,
    ) -> PassResult:
        """Run one pass and require that every output stays what it was, within `atol`."""
        before = compute(model, feeds)
        result = cls.fuse(make, model)
        for expected, actual in zip(before, compute(model, feeds), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)
        return result

    @staticmethod
    def normal(*shape: int, seed: int = 0) -> np.ndarray:
        """Return float32 noise."""
        return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture
def bench() -> Workbench:
    """Return the tools for tests of a pass."""
    return Workbench()
