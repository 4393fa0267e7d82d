"""Tiny encoders as ONNX files: a table, a dynamic 8-bit rounding, a head."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

VOCABULARY = 40
_POSITIONS = "float[batch, sequence] start_logits, float[batch, sequence] end_logits"
# DynamicQuantizeLinear takes its scale from the whole batch, as dynamically quantized models do.
_BODY = """
    embedded = Gather (table, input_ids)
    rounded, scale, zero = DynamicQuantizeLinear (embedded)
    hidden = DequantizeLinear (rounded, scale, zero)
    logits = MatMul (hidden, head)
"""
_SPAN = """
    start_part, end_part = Split <axis = 2> (logits)
    start_logits = Squeeze (start_part, axes)
    end_logits = Squeeze (end_part, axes)
"""
_LABELS = """
    label_logits = ReduceMax <axes = [1], keepdims = 0> (logits)
"""

SaveEncoder = Callable[..., Path]


@pytest.fixture
def save_encoder(tmp_path: Path) -> SaveEncoder:
    """Return a function that saves a tiny encoder and returns its path."""

    def save(
        *,
        inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
        kind: str = "int64",
        labels: bool = False,
        nan_token: int | None = None,
        name: str = "model.onnx",
    ) -> Path:
        taken = ", ".join(f"{kind}[batch, sequence] {entry}" for entry in inputs)
        given = "float[batch, 2] label_logits" if labels else _POSITIONS
        model = onnx.parser.parse_model(
            f'<ir_version: 8, opset_import: ["": 17]> tiny ({taken}) => ({given}) '
            f"{{ {_BODY} {_LABELS if labels else _SPAN} }}"
        )
        random = np.random.default_rng(0)
        table = random.normal(size=(VOCABULARY, 8)).astype(np.float32)
        if nan_token is not None:
            table[nan_token] = np.nan
        head = random.normal(size=(8, 2)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(table, "table"))
        model.graph.initializer.append(numpy_helper.from_array(head, "head"))
        model.graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), "axes"))
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return save
