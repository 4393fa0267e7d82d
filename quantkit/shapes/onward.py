"""Onward: models that differ in one block are run from that block on.

What comes before is the INT8 teacher's, whatever option of the block is tried: so the residual stream that the block
reads is computed once, and only what follows it is quantized, opened and run.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from quantkit.exam.exam import Exam
from quantkit.exam.marks import Marks
from quantkit.graph.model import save_model
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.session import ATTENTION_MASK, INPUT_IDS, Arrays, Session, StopSignal, open_model
from quantkit.shapes.blocks import Block
from quantkit.shapes.order import Narrowed
from quantkit.shapes.quantized import Bench
from quantkit.shapes.rest import stream_of, value_named

_MOST_BYTES = 1 << 30
"""Of streams that are in memory at once."""
Stream = Mapping[bytes, np.ndarray]
"""Token ids of a batch, as bytes → what a block reads of it, float32 [rows, tokens, hidden]."""


@dataclass(kw_only=True, slots=True)
class Onward:
    """Judges the INT8 teacher with one block narrowed, or in float.

    Attributes:
        bench: what candidates are made of.
        exam: has the questions.
        blocks: in the order in which they will be asked for.
    """

    bench: Bench
    exam: Exam
    blocks: Sequence[Block]
    _streams: dict[str, Stream] = field(default_factory=dict)

    def marks(self, block: Block, part: Narrowed, *, in_float: bool = False) -> Marks:
        """Return the marks of an option of a block, as INT8 or in float."""
        name = stream_of(self.bench.model, block)
        model = self.bench.quick({block: part}, since=name, floats=[block] if in_float else [])
        if name not in {value.name for value in model.graph.inputs}:
            return sat(self.exam, model)
        with _written(model) as path:
            rest = _Rest(
                session=open_model(path, name="rest of the model"),
                stream=name,
                values=self._values_of(block, name),
                outputs=self.exam.outputs,
            )
            return self.exam.sit(rest)

    def _values_of(self, block: Block, name: str) -> Stream:
        if name not in self._streams:
            tokens = sum(len(batch.indices) * batch.length for batch in self.exam.job.batches)
            count = max(1, _MOST_BYTES // (4 * tokens * block.hidden))
            begin = self.blocks.index(block)
            names = [stream_of(self.bench.model, one) for one in self.blocks[begin : begin + count]]
            self._streams.clear()
            self._streams.update(streams_at(self.bench.quick({}), list(dict.fromkeys(names)), self.exam))
        return self._streams[name]


def sat(exam: Exam, model: ir.Model) -> Marks:
    """Return the marks of a whole graph."""
    with _written(model) as path:
        return exam.sit_file(path)


def streams_at(model: ir.Model, names: Sequence[str], exam: Exam) -> dict[str, Stream]:
    """Return what a model makes of residual streams in every batch of an exam, by their names.

    Args:
        model: the graph; its outputs become the streams.
        names: of the streams.
        exam: has the batches.
    """
    outputs = []
    for name in names:
        found = value_named(model, name)
        assert found is not None
        found.type = ir.TensorType(ir.DataType.FLOAT)
        outputs.append(found)
    model.graph.outputs[:] = outputs
    streams: dict[str, dict[bytes, np.ndarray]] = {name: {} for name in names}
    with _written(model) as path:
        session = Session(path, outputs=tuple(names), threads=cpu_facts().cores)
        for batch in exam.job.batches:
            feeds = exam.job.feeds(batch)
            for name, array in zip(names, session.run(feeds), strict=True):
                streams[name][_key(feeds)] = array
    return dict(streams)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Rest:
    """The part of a model after a stream, as a session of the whole is: it is given token ids, and looks them up."""

    session: onnxruntime.InferenceSession
    stream: str
    values: Stream
    outputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """What messages call it."""
        return "rest of the model"

    @property
    def by_position(self) -> tuple[bool, ...]:
        """For each output, whether its second dimension is the sequence."""
        shapes = {entry.name: entry.shape for entry in self.session.get_outputs()}
        return tuple(len(shapes[name]) > 1 and not isinstance(shapes[name][1], int) for name in self.outputs)

    def run(self, feeds: Mapping[str, NDArray[Any]], stop: StopSignal | None = None) -> Arrays:
        """Run one batch."""
        known = {self.stream: self.values[_key(feeds)], ATTENTION_MASK: feeds[ATTENTION_MASK]}
        taken = {entry.name: known[entry.name] for entry in self.session.get_inputs()}
        found: list[NDArray[Any]] = self.session.run(
            list(self.outputs), taken, stop.options if stop else None
        )
        return tuple(found)


class _written:  # noqa: N801
    """A graph as a file, while the block runs."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._folder = tempfile.TemporaryDirectory(prefix="quantkit-search-")

    def __enter__(self) -> Path:
        path = Path(self._folder.name) / "model.onnx"
        save_model(self._model, path)
        return path

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _key(feeds: Mapping[str, NDArray[Any]]) -> bytes:
    ids = np.asarray(feeds[INPUT_IDS], np.int64)
    return np.int64(ids.shape[1]).tobytes() + ids.tobytes()
