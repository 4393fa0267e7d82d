"""A feed-forward layer as it is quantized, written as ONNX text, and what runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest

from quantkit.quantization.grids import GRIDS

HIDDEN, WIDE = 8, 24
PICKED = np.array([3, 11, 20])
HEADER = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'
FIRST = """
    xq = QuantizeLinear (x, x_scale, x_zero) xd = DequantizeLinear (xq, x_scale, x_zero)
    w1 = DequantizeLinear <axis = 1> (w1_int8, w1_scale, w1_zero) f = MatMul (xd, w1)
"""
FUSED = "g = com.microsoft.BiasGelu (f, bias)"
OPEN = "a = Add (bias, f) d = Div (a, root) e = Erf (d) o = Add (e, one) p = Mul (a, o) g = Mul (p, half)"


@dataclass(frozen=True, kw_only=True)
class FeedForward:
    """Builds and runs graphs that begin with half a feed-forward layer; integer weights are up to `limit`."""

    limit: int
    picked: ClassVar = PICKED
    quantized: ClassVar = FIRST
    gelu: ClassVar = FUSED
    open_gelu: ClassVar = OPEN

    def weights(self) -> dict[str, np.ndarray]:
        """Return the constants; an int8 weight has a scale and a zero point for each output."""
        random = np.random.default_rng(0)
        found: dict[str, np.ndarray] = {
            "x_scale": np.float32(0.02),
            "x_zero": np.uint8(120),
            "bias": random.normal(size=WIDE),
            "smoothing": random.random(WIDE) + 0.5,
            "wide": random.normal(size=(WIDE + 8, HIDDEN)),
            "w3": random.normal(size=(len(PICKED), HIDDEN)),
            "wf": random.normal(size=(HIDDEN, WIDE)),
            "root": np.float32(2**0.5),
            "one": np.float32(1),
            "half": np.float32(0.5),
            "gamma": np.ones(WIDE),
        }
        found = {
            name: array.astype(np.float32) if array.dtype == np.float64 else array
            for name, array in found.items()
        }
        for name, shape in (("w1", (HIDDEN, WIDE)), ("w2", (WIDE, HIDDEN))):
            found[f"{name}_int8"] = random.integers(-self.limit, self.limit + 1, shape).astype(np.int8)
            found[f"{name}_scale"] = (random.random(shape[1]) * 0.01 + 0.001).astype(np.float32)
            found[f"{name}_zero"] = np.zeros(shape[1], np.int8)
        return {**found, "channels": PICKED}

    def build(
        self, body: str, outputs: str = "float[b, s, k] y", more: Mapping[str, np.ndarray] | None = None
    ) -> ir.Model:
        """Return the model of `body`; nodes are named by their output."""
        proto = onnx.parser.parse_model(f"{HEADER} g (float[b, s, {HIDDEN}] x) => ({outputs}) {{ {body} }}")
        for node in proto.graph.node:
            node.name = next(iter(node.output))
        constants: Mapping[str, np.ndarray] = {**self.weights(), **(more or {})}
        proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in constants.items())
        return ir.from_proto(proto)

    @staticmethod
    def compute(model: ir.Model) -> list[np.ndarray]:
        """Run a model on noise."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        content = ir.to_proto(model).SerializeToString()
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        x = np.random.default_rng(4).normal(size=(3, 7, HIDDEN)).astype(np.float32)
        found: list[np.ndarray] = session.run(None, {"x": x})
        return found


@pytest.fixture
def feed_forward(exact_grids: frozenset[str]) -> FeedForward:
    """Return what builds feed-forward layers, with the widest signed weights whose products are summed exactly here."""
    signed = (GRIDS[name] for name in exact_grids if name != "uint8")
    return FeedForward(limit=max(grid.limit for grid in signed if grid.pair_limit is None))
