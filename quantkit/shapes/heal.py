"""Heal: output projections solved again, from the first block to the last, for what the blocks before have become.

The order was found on the teacher's own activations. In a candidate every block reads what the narrowed blocks before
it left in the residual stream. So the rows run through teacher and candidate together, block by block, and each output
projection becomes the least-squares solution for the teacher's residual sum from the candidate's units and its own
residual: an earlier error is made up for as far as a linear layer can (K-prune, Park et al. 2024).
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime

from quantkit.graph.linear import linear_layers
from quantkit.graph.model import save_model
from quantkit.graph.pattern import operand, optional_operand
from quantkit.progress import track
from quantkit.runtime.run import Row
from quantkit.runtime.session import ATTENTION_MASK, open_model
from quantkit.shapes.blocks import Block
from quantkit.shapes.order import Narrowed
from quantkit.shapes.rewrite import narrow, residual_of

PULLS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Pulls towards the projection as it was that are tried, as shares of the mean variance of the units."""
HELD_OUT = 5
"""Every so many rows, one is held out."""
_STREAM = "residual_stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Residual:
    """LayerNorm(sum) of one block, as float32 arrays [hidden]."""

    gamma: np.ndarray
    beta: np.ndarray
    epsilon: float

    def norm(self, total: np.ndarray) -> np.ndarray:
        """Return what the next block reads of a residual sum [tokens, hidden]."""
        centred = total - total.mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        result: np.ndarray = centred / np.sqrt(variance + self.epsilon) * self.gamma + self.beta
        return result.astype(np.float32)


def heal(
    model: ir.Model, parts: Mapping[Block, Narrowed], blocks: Sequence[Block], rows: Sequence[Row]
) -> dict[Block, Narrowed]:
    """Return the parts with their projections solved again.

    Args:
        model: the teacher's fused float graph.
        parts: the narrowed blocks of the candidate; those that are not there are whole, and healed too once a
            block before them is narrowed.
        blocks: all blocks, in order.
        rows: calibration rows.
    """
    if len(rows) < HELD_OUT:
        return dict(parts)
    candidate = model.clone()
    narrow(candidate, parts)
    theirs = _first_stream(model, blocks[0], rows)
    ours = theirs
    found = dict(parts)
    changed = False
    with track("heal", len(blocks), "blocks") as advance:
        for block in blocks:
            whole = _whole(model, block)
            residual = _residual(model, block)
            target = [
                units @ whole.matrix + whole.bias + stream
                for units, stream in zip(_units(model, block, theirs), theirs, strict=True)
            ]
            part = parts.get(block, whole)
            changed = changed or block in parts
            units = (
                list(_units(candidate, block, ours))
                if len(part.units)
                else [np.zeros((len(stream), 0), np.float32) for stream in ours]
            )
            if changed:
                wanted = [total - stream for total, stream in zip(target, ours, strict=True)]
                better = nearest(part, units, wanted)
                if better is not part:
                    part = found[block] = better
            sums = [
                (values @ part.matrix + part.bias + stream).astype(np.float32)
                for values, stream in zip(units, ours, strict=True)
            ]
            theirs = [residual.norm(total) for total in target]
            ours = [residual.norm(total) for total in sums]
            advance(1)
    return found


def nearest(part: Narrowed, units: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> Narrowed:
    """Return a part with the projection that the held-out rows are nearest to what is wanted with.

    Args:
        part: as it was; returned itself where nothing is better, and with fewer rows than hold one out.
        units: of each row, what its projection reads, [tokens, inputs].
        wanted: of each row, what it should give, [tokens, hidden].
    """
    held = slice(HELD_OUT - 1, None, HELD_OUT)
    kept = [number for number in range(len(units)) if number % HELD_OUT != HELD_OUT - 1]
    if len(kept) == len(units):
        return part
    tried = _solved(part, [units[number] for number in kept], [wanted[number] for number in kept])
    return min([part, *tried], key=lambda one: squared_error(one, units[held], wanted[held]))


def squared_error(part: Narrowed, units: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """Return the sum of squared differences of what a part gives and what is wanted."""
    return sum(
        float(np.square(values @ part.matrix + part.bias - target).sum())
        for values, target in zip(units, wanted, strict=True)
    )


def _solved(part: Narrowed, units: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> list[Narrowed]:
    """Return the part with another bias only, and with the solution for every pull."""
    count = sum(len(values) for values in units)
    mean = sum(values.sum(axis=0, dtype=np.float64) for values in units) / count
    aim = sum(values.sum(axis=0, dtype=np.float64) for values in wanted) / count
    found = [replace(part, bias=aim - mean @ part.matrix)]
    width = len(part.matrix)
    if not width:
        return found
    square, across = np.zeros((width, width)), np.zeros(part.matrix.shape)
    for values, target in zip(units, wanted, strict=True):
        centred = values - mean
        square += centred.T @ centred
        across += centred.T @ (target - aim)
    square, across = square / count, across / count
    if not np.trace(square) > 0:
        return found  # every token gives the same: there is nothing to solve for
    for pull in PULLS:
        ridge = pull * float(np.trace(square)) / width
        matrix = np.linalg.solve(square + ridge * np.eye(width), across + ridge * part.matrix)
        found.append(replace(part, matrix=matrix, bias=aim - mean @ matrix))
    return found


def _whole(model: ir.Model, block: Block) -> Narrowed:
    layer = {layer.name: layer for layer in linear_layers(model.graph)}[block.projection]
    bias = operand(residual_of(layer), 4)
    assert bias.const_value is not None
    return Narrowed(
        units=np.arange(block.units),
        matrix=layer.matrix().astype(np.float64),
        bias=bias.const_value.numpy().astype(np.float64),
        error=0.0,
    )


def _residual(model: ir.Model, block: Block) -> _Residual:
    layer = {layer.name: layer for layer in linear_layers(model.graph)}[block.projection]
    node = residual_of(layer)
    gamma, beta = operand(node, 2).const_value, optional_operand(node, 3)
    assert gamma is not None
    assert beta is not None
    assert beta.const_value is not None
    return _Residual(
        gamma=gamma.numpy(), beta=beta.const_value.numpy(), epsilon=node.attributes["epsilon"].as_float()
    )


def _first_stream(model: ir.Model, first: Block, rows: Sequence[Row]) -> list[np.ndarray]:
    """Return what the first block reads of each row, float32 [tokens, hidden]."""
    part = model.clone()
    layer = {layer.name: layer for layer in linear_layers(part.graph)}[first.readers[0]]
    stream = layer.activation
    stream.type = ir.TensorType(ir.DataType.FLOAT)
    part.graph.outputs[:] = [stream]
    with _opened(part) as session:
        names = [given.name for given in session.get_inputs()]
        return [session.run(None, {name: _given(row, name) for name in names})[0][0] for row in rows]


def _given(row: Row, name: str) -> np.ndarray:
    if name == ATTENTION_MASK:
        return np.ones((1, len(row.input_ids)), np.int64)
    found: np.ndarray = np.asarray(getattr(row, name), np.int64)[None]
    return found


def _units(model: ir.Model, block: Block, streams: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield what a block makes of each row's residual stream: what its output projection reads."""
    part = model.clone()
    layers = {layer.name: layer for layer in linear_layers(part.graph)}
    reads, gives = layers[block.readers[0]].activation, layers[block.projection].activation
    stream = ir.val(_STREAM, ir.DataType.FLOAT, ir.Shape(["batch", "sequence", block.hidden]))
    reads.replace_all_uses_with(stream)
    gives.type = ir.TensorType(ir.DataType.FLOAT)
    part.graph.outputs[:] = [gives]
    part.graph.inputs.append(stream)
    with _opened(part) as session:
        names = [given.name for given in session.get_inputs()]
        for values in streams:
            feeds = {_STREAM: values[None]}
            if ATTENTION_MASK in names:
                feeds[ATTENTION_MASK] = np.ones((1, len(values)), np.int64)
            yield session.run(None, {name: feeds[name] for name in names})[0][0]


class _opened:  # noqa: N801
    """A part of a graph, open while the block runs."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._folder = tempfile.TemporaryDirectory(prefix="quantkit-heal-")

    def __enter__(self) -> onnxruntime.InferenceSession:
        path = Path(self._folder.name) / "part.onnx"
        graph = self._model.graph
        import onnx_ir.passes.common as passes

        passes.RemoveUnusedNodesPass()(self._model)
        used = [value for value in graph.inputs if value.uses()]
        graph.inputs[:] = used
        save_model(self._model, path)
        return open_model(path, name="part")

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
