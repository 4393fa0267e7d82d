"""Which kernels ONNX Runtime really runs: read from its optimized graph and from the trace of a run.

What a file says and what is executed differ: Q/DQ pairs may be dropped, and a layer runs in float. So coverage is never
counted from Q/DQ nodes.

MatMulNBits is a name for both: float products of unpacked weights, or integer products of activations that are rounded
to 8 bits block by block. It counts as integer where the optimized graph says 8 bits and accuracy_level 4, and a probe
of one block of that size shows that activations are rounded (`quantkit.graph.blockwise_probe`). A QDQ weight whose
activation is not quantized becomes MatMulNBits at load time and is judged in the same way: its kernel's name is then
all that tells it from a block-wise layer.
"""

import math
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from quantkit.errors import ArtifactError, EvaluationError, OutputError
from quantkit.graph.blockwise_probe import multiplies_integers
from quantkit.graph.constant_shapes import ConstantShapes
from quantkit.graph.pairs import extreme_pair_sums, within_pair_limit
from quantkit.runtime.session import (
    ATTENTION_MASK,
    INPUT_IDS,
    ONNXRUNTIME_ERRORS,
    TOKEN_TYPE_IDS,
    Session,
    SessionOptions,
    Written,
    first_line,
)
from quantkit.strict_json import read_json
from quantkit.tasks.positions import sure_row

TOKENS = 384
_MOST = 1 << 31  # of a vocabulary and of positions


@dataclass(frozen=True, kw_only=True, slots=True)
class Kernel:
    """A kernel that computes linear layers.

    Attributes:
        weight: which input is the weight.
        integer: it always multiplies integers.
        zero_point: which input is the activations' zero point, of their type; uint8 where there is none.
    """

    weight: int
    integer: bool
    zero_point: int | None = None


# Every ONNX Runtime CPU kernel a linear layer can end up in. MatMulNBits is decided node by node.
LINEAR_KERNELS: dict[str, Kernel] = {
    "MatMul": Kernel(weight=1, integer=False),
    "FusedMatMul": Kernel(weight=1, integer=False),
    "Gemm": Kernel(weight=1, integer=False),
    "FusedGemm": Kernel(weight=1, integer=False),
    "Attention": Kernel(weight=1, integer=False),
    "MatMulNBits": Kernel(weight=1, integer=False),
    "MatMulInteger": Kernel(weight=1, integer=True, zero_point=2),
    "MatMulIntegerToFloat": Kernel(weight=1, integer=True, zero_point=4),
    "DynamicQuantizeMatMul": Kernel(weight=1, integer=True),
    "QAttention": Kernel(weight=1, integer=True, zero_point=6),
    "QLinearMatMul": Kernel(weight=3, integer=True, zero_point=2),
    "QGemm": Kernel(weight=3, integer=True, zero_point=2),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Weight:
    """The weight of a node of the optimized graph: its shape [inputs, outputs], and whether integers are multiplied.

    With `pair_sums` as an executed layer has them.
    """

    shape: tuple[int, int]
    integer: bool
    pair_sums: tuple[int, int] | None = None

    @property
    def saturates(self) -> bool:
        """Whether it is not exact for some activations where pairs of products are added in 16 bits."""
        return self.pair_sums is not None and not within_pair_limit(*self.pair_sums)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutedLayer:
    """One linear layer as executed: weight [inputs, outputs], the kernel, multiply-accumulates of the run.

    `pair_sums` are the least and the largest sum that weights of a pair of inputs have, of one sign, where uint8 is
    multiplied by int8 (`quantkit.graph.pairs`); None for every other layer.
    """

    name: str
    shape: tuple[int, int]
    kernel: str
    integer: bool
    macs: int
    pair_sums: tuple[int, int] | None = None

    @property
    def saturates(self) -> bool:
        """Whether there are activations whose sums a CPU that keeps pairs of products in 16 bits gets wrong."""
        return self.pair_sums is not None and not within_pair_limit(*self.pair_sums)


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """One traced run of a model on one row of `tokens` tokens."""

    tokens: int
    kernels: dict[str, int]
    layers: tuple[ExecutedLayer, ...]

    @property
    def int8_coverage(self) -> float:
        """Share of the linear layers' multiply-accumulates that ran in integer kernels, 0 to 1."""
        total = sum(layer.macs for layer in self.layers)
        return sum(layer.macs for layer in self.layers if layer.integer) / total if total else 0.0


def trace_execution(
    path: Path, *, outputs: tuple[str, ...], config: Mapping[str, Any], name: str | None = None
) -> Execution:
    """Load a model, run one row of up to 384 tokens, and return what was executed.

    Args:
        path: the ONNX file.
        outputs: the task's graph outputs.
        config: the checkpoint's config.json, for the vocabulary and the positions there are.
        name: what messages call the model when its path is a temporary one; the path otherwise.

    Raises:
        ArtifactError: the model cannot be opened, or has no linear layer, or a number of the config is none.
        EvaluationError: an output of the run is NaN or infinite.
    """
    model = name or str(path)
    row = _row(config, model)
    with tempfile.TemporaryDirectory(prefix="quantkit-trace-") as folder:
        optimized = Path(folder) / "optimized.onnx"
        trace = Path(folder) / "trace"
        session = Session(
            path, outputs=outputs, writes=Written(optimized_model=optimized, trace=trace), name=name
        )
        try:
            if _name_all(optimized):
                session = Session(
                    optimized,
                    outputs=outputs,
                    options=SessionOptions(optimized=True),
                    writes=Written(trace=trace),
                    name=model,
                )
            found = session.run(row)
        except ONNXRUNTIME_ERRORS as error:
            raise ArtifactError(
                f"{model}: onnxruntime cannot run it ({first_line(error)}); export the model again, and check that "
                "config.json is its own"
            ) from error
        events = _node_events(session.end_profile())
        weights = _weights(model, optimized)
    for output, array in zip(outputs, found, strict=True):
        if not np.isfinite(array).all():
            raise EvaluationError(
                f"{model}: {output} holds NaN or Infinity; check the model's weights and ranges"
            )
    layers = tuple(layer for event in events for layer in _layer(event, weights))
    unseen = weights.keys() - {layer.name for layer in layers}
    if unseen:
        raise ArtifactError(f"{model}: {min(unseen)} is not in the trace of a run; report this model")
    if not layers:
        raise ArtifactError(f"{model}: executes no linear layer; it is not an encoder quantkit knows")
    kernels = Counter(event["args"]["op_name"] for event in events)
    return Execution(tokens=row[INPUT_IDS].shape[1], kernels=dict(sorted(kernels.items())), layers=layers)


def saturating_layers(path: Path, *, outputs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the layers that would not be exact where pairs of products are added in 16 bits; nothing is run.

    Args:
        path: the ONNX file.
        outputs: the task's graph outputs.

    Raises:
        ArtifactError: the model cannot be opened.
    """
    with tempfile.TemporaryDirectory(prefix="quantkit-pairs-") as folder:
        optimized = Path(folder) / "optimized.onnx"
        Session(path, outputs=outputs, writes=Written(optimized_model=optimized))
        _name_all(optimized)
        return tuple(name for name, weight in _weights(str(path), optimized).items() if weight.saturates)


def _row(config: Mapping[str, Any], model: str) -> dict[str, np.ndarray]:
    """Return one row of valid token ids, [1, tokens], as long as the model's positions allow."""
    numbers = {"vocab_size": 2, "max_position_embeddings": TOKENS, "pad_token_id": None}
    numbers.update({key: config[key] for key in numbers if key in config})
    for key, value in numbers.items():
        if value is not None and (not isinstance(value, int) or abs(value) > _MOST):
            raise ArtifactError(
                f"{model}: its config.json says {key} is {value!r}; it must be a whole number, {_MOST:,} at most"
            )
    vocabulary, pad = numbers["vocab_size"] or 2, numbers["pad_token_id"]
    positions = numbers["max_position_embeddings"] or TOKENS
    tokens = min(TOKENS, sure_row(positions, pad))
    ids = np.arange(tokens, dtype=np.int64) % max(1, vocabulary - 1)
    if pad is not None:
        ids[ids == pad] = (pad + 1) % vocabulary
    row = ids[None, :]
    return {INPUT_IDS: row, ATTENTION_MASK: np.ones_like(row), TOKEN_TYPE_IDS: np.zeros_like(row)}


def _node_events(trace: Path) -> list[dict[str, Any]]:
    """Return the trace's kernel events in execution order."""
    try:
        events: list[dict[str, Any]] = read_json(trace)
    except (OSError, ValueError) as error:
        # onnxruntime says nothing when it cannot write the trace.
        raise OutputError(
            f"{trace.parent}: the trace of the run was not written; free some space, or choose another place "
            "with TMPDIR"
        ) from error
    return [
        event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]


def _name_all(optimized: Path) -> bool:
    """Give the nodes of an optimized graph names of their own if they have not, and return whether that was needed.

    A trace tells nodes apart by their names. Most exporters give names; what other tools leave may have none.
    """
    model = onnx.load(optimized, load_external_data=False)
    names = [node.name for node in model.graph.node if node.op_type in LINEAR_KERNELS]
    if all(names) and len(set(names)) == len(names):
        return False
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    optimized.write_bytes(model.SerializeToString())
    return True


def _weights(model: str, optimized: Path) -> dict[str, _Weight]:
    """Return node name → weight of each linear node with a constant weight, also where the run unpacks it first.

    Raises:
        ArtifactError: two nodes have one name, so the trace of a run cannot be told apart.
    """
    graph = onnx.load(optimized, load_external_data=False).graph
    constants = ConstantShapes(graph)
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    found: dict[str, _Weight] = {}
    for node in graph.node:
        kernel = LINEAR_KERNELS.get(node.op_type)
        if kernel is None or len(node.input) <= kernel.weight:
            continue
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        integer = kernel.integer
        if node.op_type == "MatMulNBits":
            shape = (attributes["K"], attributes["N"])
            integer = _rounds_activations(node, attributes)
        elif len(dimensions := constants.shape(node.input[kernel.weight]) or ()) == 2:
            shape = (dimensions[0], dimensions[1])
        else:
            continue
        if not node.name or node.name in found:
            raise ArtifactError(
                f"{model}: a {node.op_type} has the name {node.name!r}, which is not its own; report this"
            )
        shape = (shape[1], shape[0]) if attributes.get("transB") else shape
        sums = None
        stored = tensors.get(node.input[kernel.weight])
        if stored is not None and _unsigned_by_signed(node, kernel, tensors):
            array = onnx.numpy_helper.to_array(stored, str(optimized.parent))
            sums = extreme_pair_sums(array.T if attributes.get("transB") else array)
        found[node.name] = _Weight(shape=shape, integer=integer, pair_sums=sums)
    return found


def _unsigned_by_signed(
    node: onnx.NodeProto, kernel: Kernel, tensors: Mapping[str, onnx.TensorProto]
) -> bool:
    """Tell whether an integer kernel multiplies uint8 activations by int8 weights."""
    if not kernel.integer or tensors[node.input[kernel.weight]].data_type != onnx.TensorProto.INT8:
        return False
    zero = None
    if kernel.zero_point is not None and len(node.input) > kernel.zero_point:
        zero = tensors.get(node.input[kernel.zero_point])
    return zero is None or zero.data_type != onnx.TensorProto.INT8


def _rounds_activations(node: onnx.NodeProto, attributes: Mapping[str, int]) -> bool:
    """Tell whether a MatMulNBits multiplies integers: its attributes allow it, and the probe shows it."""
    if attributes.get("bits", 4) != 8 or attributes.get("accuracy_level", 0) != 4:
        return False
    zero_points = len(node.input) > 3 and bool(node.input[3])
    return multiplies_integers(attributes["block_size"], zero_points=zero_points)


def _layer(event: Mapping[str, Any], weights: Mapping[str, _Weight]) -> list[ExecutedLayer]:
    """Return the linear layer this event ran, or nothing."""
    name, op_type = event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]
    if op_type not in LINEAR_KERNELS or name not in weights:
        return []
    inputs, outputs = weights[name].shape
    # Rows of the product: all leading dimensions of the output ("output_type_shape": [{"float": [1, 384, 768]}]).
    shape = next(iter(event["args"]["output_type_shape"][0].values()))
    rows = math.prod(shape[:-1])
    return [
        ExecutedLayer(
            name=name,
            shape=(inputs, outputs),
            kernel=op_type,
            integer=weights[name].integer,
            pair_sums=weights[name].pair_sums,
            macs=rows * inputs * outputs,
        )
    ]
