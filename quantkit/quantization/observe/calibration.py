"""Calibration: what values the inputs of the linear layers take on real text, as statistics and as ranges.

The model runs with these inputs as extra outputs, one unpadded row at a time, so no padding position is ever
counted and any length will do. What is kept are sums and extremes (`observe`) or a histogram a tensor (`calibrate`):
memory does not grow with the number of rows, and the result is the same for any number of threads.
"""

import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from quantkit.engines import open_engine, seats
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import save_model
from quantkit.quantization.observe.cache import (
    cached,
    read_ranges,
    read_statistics,
    write_ranges,
    write_statistics,
)
from quantkit.quantization.observe.histogram import Histogram
from quantkit.quantization.observe.job import CalibrationJob
from quantkit.quantization.observe.kept import KeptSums, forget
from quantkit.quantization.observe.range import Range
from quantkit.quantization.observe.ranges import METHODS
from quantkit.quantization.observe.reductions import NumberedJob, Summaries, histograms
from quantkit.quantization.observe.statistics import Detail, Statistics, StatisticsObserver
from quantkit.runtime.batching import Batch
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import Engine, ThreadEngine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import run_each
from quantkit.runtime.session import Arrays, Session
from quantkit.runtime.sessions import Reduction

# Activations of all rows under way are held at once; fewer rows run at a time when they would pass this.
_MEMORY_LIMIT = 1 << 30


class _Histograms:
    """Histograms of several tensors, filled from several threads: counts do not depend on the order of rows."""

    def __init__(self, tensors: Sequence[str]) -> None:
        self.histograms = [Histogram() for _ in tensors]
        self._locks = [threading.Lock() for _ in tensors]

    def consume(self, batch: Batch, outputs: Arrays) -> None:  # noqa: ARG002 - the signature of run_each
        """Count every value of one unpadded row."""
        for lock, histogram, values in zip(self._locks, self.histograms, outputs, strict=True):
            with lock:
                histogram.add(values)

    def consume_counted(self, batch: Batch, counted: Arrays) -> None:  # noqa: ARG002 - the signature of run_each
        """Count one row whose histograms were made where it ran."""
        for lock, histogram, numbers in zip(self._locks, self.histograms, counted, strict=True):
            row = Histogram.from_array(numbers[0])
            with lock:
                histogram.merge(row)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reduced:
    """What is made of a row where it ran, and what takes it; for an engine that is not in this process."""

    reduction: Reduction
    consume: Callable[[Batch, Arrays], None]


def calibrate(
    model: ir.Model, tensors: Sequence[ir.Value], job: CalibrationJob, *, key: str
) -> dict[str, Range]:
    """Return the range of each tensor, from the cache when the same was calibrated before.

    Args:
        model: the FP32 model; its graph outputs are changed while this runs, and put back.
        tensors: float activations [1, tokens, width] of that graph.
        job: rows, method and its setting.
        key: digest of the model, the rows and the settings: what the cache compares.

    Raises:
        DatasetError: there is no row, or every row is padding.
        EvaluationError: an activation is NaN or infinite.
    """
    names = [tensor.name or "" for tensor in tensors]
    path = cached(f"{key}.json")
    found = read_ranges(path, key, names)
    if found is None:
        found = _observe(model, tensors, job)
        write_ranges(path, key, found)
    return found


def observe(
    model: ir.Model,
    tensors: Sequence[ir.Value],
    job: CalibrationJob,
    *,
    key: str,
    detail: Detail,
    keep: bool = False,
) -> dict[str, Statistics]:
    """Return the statistics of each tensor; cached like the ranges, but for moments and sample, which are large.

    One that is interrupted goes on where it was (`quantkit.quantization.observe.kept`).

    Args:
        model: the FP32 model; its graph outputs are changed while this runs, and put back.
        tensors: float activations [1, tokens, width] of that graph.
        job: the rows; its method is not used.
        key: digest of the model, the rows and the settings: what the cache compares.
        detail: how much is kept; moments take memory of width² numbers a tensor.
        keep: moments and sample stay on disk until `forget` is told that they are not needed any more.

    Raises:
        DatasetError: there is no row, or every row is padding.
        EvaluationError: an activation is NaN or infinite.
    """
    if not tensors:
        return {}
    names = [tensor.name or "" for tensor in tensors]
    path = cached(f"{key}-statistics.npz")
    found = None if detail > Detail.CHANNELS else read_statistics(path, names)
    if found is None:
        batches = job.batches()
        observer = StatisticsObserver(names, batches, detail=detail)
        sums = KeptSums(key, observer)
        reduced = None
        if detail < Detail.MOMENTS:
            summaries = Summaries(detail=detail, per_row=observer.per_row)
            reduced = _Reduced(reduction=summaries, consume=sums.consuming(observer.consume_summary))
        if observer.done < len(batches):
            with sums.on_interrupt():
                consume = sums.consuming(observer.consume)
                _run_observed(model, tensors, job, consume, reduced, done=observer.done)
        found = observer.statistics()
        write_statistics(path, found)
        if keep and detail > Detail.CHANNELS:
            sums.write()
        else:
            forget(key)
    return found


def _observe(model: ir.Model, tensors: Sequence[ir.Value], job: CalibrationJob) -> dict[str, Range]:
    names = [tensor.name or "" for tensor in tensors]
    observer = _Histograms(names)
    reduced = _Reduced(reduction=histograms, consume=observer.consume_counted)
    _run_observed(model, tensors, job, observer.consume, reduced)
    estimate = METHODS[job.method]
    ranges = {}
    for name, histogram in zip(names, observer.histograms, strict=True):
        low, high = estimate(histogram, job.percentile)
        ranges[name] = Range(low=low, high=high, seen_low=histogram.low, seen_high=histogram.high)
    return ranges


def _run_observed(
    model: ir.Model,
    tensors: Sequence[ir.Value],
    job: CalibrationJob,
    consume: Callable[[Batch, Arrays], None],
    reduced: _Reduced | None,
    *,
    done: int = 0,
) -> None:
    """Run every row alone and unpadded, and hand the tensors' values to `consume`, or what was made of them.

    Those that are `done` already are left out.
    """
    names = tuple(tensor.name or "" for tensor in tensors)
    batches = job.batches()
    numbered = NumberedJob(
        rows=job.rows,
        batches=batches[done:],
        pad_id=job.pad_id,
        name=lambda index: f"calibration row {index}",
        places={batch.indices[0]: place for place, batch in enumerate(batches)},
    )
    with tempfile.TemporaryDirectory(prefix="quantkit-calibrate-") as folder:
        path = Path(folder) / "observed.onnx"
        _save_observed(model, tensors, path)
        row_bytes = _bytes_per_token(model.graph, names) * batches[0].length
        most = max(1, min(len(batches), _MEMORY_LIMIT // row_bytes))
        with _opened(path, names, job, reduced, (most, len(batches))) as engine:
            take = reduced.consume if reduced and job.where.engine == "ray" else consume
            run_each(engine, numbered, take, label="calibrate")


def _save_observed(model: ir.Model, tensors: Sequence[ir.Value], path: Path) -> None:
    """Write the model with the tensors as its only outputs, weights beside it."""
    outputs = list(model.graph.outputs)
    types = [tensor.type for tensor in tensors]
    try:
        model.graph.outputs.clear()
        for tensor in tensors:
            tensor.type = ir.TensorType(ir.DataType.FLOAT)
            model.graph.outputs.append(tensor)
        save_model(model.clone(), path, external=True)
    finally:
        model.graph.outputs.clear()
        model.graph.outputs.extend(outputs)
        # A type that stayed would be written into the quantized file, and only when nothing came from the cache.
        for tensor, before in zip(tensors, types, strict=True):
            tensor.type = before


def _bytes_per_token(graph: ir.Graph, names: Sequence[str]) -> int:
    """Return how many bytes the observed activations of one token take, from the layers that read them."""
    widths = {layer.activation.name: layer.shape[0] for layer in linear_layers(graph)}
    return 4 * sum(widths.get(name, 1) for name in names)


def _opened(
    path: Path, names: tuple[str, ...], job: CalibrationJob, reduced: _Reduced | None, most: tuple[int, int]
) -> Engine:
    """Open the observed model in this process, or with an instance for each core of a cluster there is use for.

    Args:
        path: the model.
        names: its outputs.
        job: says where.
        reduced: what is made of a row where it ran, on a cluster.
        most: rows under way at a time that are handed over whole; and that are reduced where they ran.
    """
    if job.where.engine == "ray":
        instances = min(seats(job.where), most[1] if reduced else most[0])
        return open_engine(
            path,
            outputs=names,
            profile=RuntimeProfile(instances=instances).on(job.where),
            name=job.model_name,
            reduction=reduced.reduction if reduced else None,
        )
    cores = cpu_facts().cores
    workers = min(cores, most[0])
    # A session with several threads is for one worker only.
    session = Session(path, outputs=names, threads=cores if workers == 1 else 1, name=job.model_name)
    return ThreadEngine([session] * workers)
