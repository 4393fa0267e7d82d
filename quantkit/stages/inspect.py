"""inspect: what is in an artifact, and which kernels ONNX Runtime really runs."""

import math
from collections.abc import Iterable

import onnx_ir as ir

from quantkit.architectures import Config, architecture
from quantkit.artifact import Artifact
from quantkit.artifact.ingredients import Ingredients
from quantkit.artifact.measure import tool_versions
from quantkit.errors import CheckpointError
from quantkit.graph.kernels import trace_execution
from quantkit.graph.model import load_model
from quantkit.records import EncoderLayer, Inspection, Layer
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.hold import hold
from quantkit.tasks import task
from quantkit.tasks.data_places import DataPlaces

_TOOLS = ("onnx", "onnx-ir", "onnxruntime", "numpy")
# Executed operators that are a fusion of several operators of the checkpoint's graph.
FUSIONS = (
    "Attention",
    "MultiHeadAttention",
    "QAttention",
    "EmbedLayerNormalization",
    "SkipLayerNormalization",
    "BiasGelu",
    "FastGelu",
    "Gelu",
)
_PARAMETER_TYPES = (ir.DataType.FLOAT, ir.DataType.INT8, ir.DataType.UINT8)
# Constants that belong to quantization, not to the checkpoint.
_QUANTIZATION_SUFFIXES = ("_scale", "_zero_point", ".input_smoothing", ".outlier_weight")
# What a layout put into another order keeps its name before this.
_REORDERED = ".outliers_first."
_ROUNDINGS = ("QuantizeLinear", "DequantizeLinear")


def ingredients(artifact: Artifact, settings: None, data: DataPlaces) -> Ingredients:
    """Return all that decides what `inspect` reports: the artifact, tools, the kernels of this processor."""
    del settings, data
    return Ingredients(
        inputs={"artifact": artifact.digest, "cpu": cpu_facts().kernels}, tools=tool_versions(*_TOOLS)
    )


def inspect(artifact: Artifact) -> Inspection:
    """Count parameters and bytes, run the model once on one row, and report what was executed.

    Raises:
        ArtifactError: the model cannot be opened.
        EvaluationError: a logit of the run is NaN or infinite.
    """
    with hold(artifact) as held:
        return _inspect(held)


def _inspect(artifact: Artifact) -> Inspection:
    model = load_model(artifact.model_path)
    execution = trace_execution(
        artifact.model_path, outputs=task(artifact.task).outputs, config=artifact.config
    )
    expected = artifact.manifest.expected_fusions
    fused = {
        name: execution.kernels.get(name, 0)
        # A layout promises operators that are no fusions.
        for name in dict.fromkeys((*FUSIONS, *expected))
        if name in expected or name in execution.kernels
    }
    return Inspection(
        artifact=artifact.digest,
        architecture=artifact.manifest.architecture,
        task=artifact.task,
        precision=artifact.manifest.precision,
        parameters=sum(_elements(value) for value in _weights(model.graph)),
        size_bytes=artifact.model_bytes,
        fused=fused,
        expected_fusions=expected,
        kernels=execution.kernels,
        int8_coverage=execution.int8_coverage,
        int8_embedding_share=_int8_embedding_share(model.graph),
        saturating=tuple(layer.name for layer in execution.layers if layer.saturates),
        encoder=_encoder(artifact),
        layers=tuple(
            Layer(
                name=layer.name,
                shape=layer.shape,
                kernel=layer.kernel,
                integer=layer.integer,
                macs=layer.macs,
            )
            for layer in execution.layers
        ),
        tools=tool_versions("onnx", "onnxruntime"),
    )


def _encoder(artifact: Artifact) -> tuple[EncoderLayer, ...]:
    """Return the encoder's shape by config.json; nothing where that lacks a number, which export would refuse."""
    where = str(artifact.path / "config.json")
    try:
        shape = architecture(artifact.config, where).read_shape(Config(values=artifact.config, where=where))
    except CheckpointError:
        return ()
    return tuple(
        EncoderLayer(heads=layer.heads, head_size=layer.head_size, feed_forward=layer.feed_forward)
        for layer in shape.layers
    )


def _weights(graph: ir.Graph) -> Iterable[ir.Value]:
    """Return the initializers that are parameters of the checkpoint: float or 8 bits, of one dimension or more.

    A bias that another tool stores in 32 bits, to be unpacked, is one too.
    """
    for value in graph.initializers.values():
        stored = value.const_value
        if stored is None or not len(stored.shape) or _is_of_quantization(value):
            continue
        packed = stored.dtype == ir.DataType.INT32 and all(
            use.node.op_type == "DequantizeLinear" for use in value.uses()
        )
        if stored.dtype in _PARAMETER_TYPES or packed:
            yield value


def _is_of_quantization(value: ir.Value) -> bool:
    """Tell whether a constant is a scale, a zero point or a copy for a float product, by name or by what reads it."""
    if (value.name or "").partition(_REORDERED)[0].endswith(_QUANTIZATION_SUFFIXES):
        return True
    uses = value.uses()
    return bool(uses) and all(use.node.op_type in _ROUNDINGS and use.idx > 0 for use in uses)


def _elements(value: ir.Value) -> int:
    """Return how many entries there are; of a block-wise weight without those that fill up its last blocks."""
    for usage in value.uses():
        if usage.node.op_type == "MatMulNBits" and usage.idx == 1:
            attributes = usage.node.attributes
            return attributes["K"].as_int() * attributes["N"].as_int()
    assert value.const_value is not None
    return math.prod(value.const_value.shape.numpy())


def _int8_embedding_share(graph: ir.Graph) -> float:
    """Return the share of embedding-table entries that are stored in INT8: tables are what Gather looks up in."""
    stored = {"all": 0, "int8": 0}
    tables: dict[str, ir.Value] = {}
    for node in graph:
        inputs = node.inputs[2:5] if node.op_type == "EmbedLayerNormalization" else node.inputs[:1]
        if node.op_type not in ("Gather", "EmbedLayerNormalization"):
            continue
        for value in inputs:
            # A table may be unpacked before it is looked up in.
            unpacking = value.producer() if value is not None else None
            if unpacking is not None and unpacking.op_type == "DequantizeLinear":
                value = unpacking.inputs[0]  # noqa: PLW2901
            if value is not None and value.name and value.const_value is not None:
                tables[value.name] = value
    for name, value in tables.items():
        assert value.const_value is not None
        rows = len(value.const_value.shape) == 2 and value.const_value.dtype in _PARAMETER_TYPES
        if not rows or name.endswith(_QUANTIZATION_SUFFIXES):
            continue
        stored["all"] += _elements(value)
        stored["int8"] += _elements(value) if value.const_value.dtype != ir.DataType.FLOAT else 0
    return stored["int8"] / stored["all"] if stored["all"] else 0.0
