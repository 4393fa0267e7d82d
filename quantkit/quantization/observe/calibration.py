"""Calibration: what values the inputs of the linear layers take on real text, as statistics and as ranges.

The model runs with these inputs as extra outputs, one unpadded row at a time, so no padding position is ever
counted and any length will do. What is kept are sums and extremes (`observe`) or a histogram a tensor (`calibrate`):
memory does not grow with the number of rows, and the result is the same for any number of threads.
"""

import io
import json
import logging
import math
import tempfile
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from quantkit.engines import open_engine, seats
from quantkit.errors import DatasetError, OutputError
from quantkit.files import cache_folder, digest_of, write_bytes, write_json
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import save_model
from quantkit.quantization.observe.histogram import Histogram
from quantkit.quantization.observe.ranges import METHODS
from quantkit.quantization.observe.reductions import NumberedJob, Summaries, histograms
from quantkit.quantization.observe.statistics import (
    Detail,
    Statistics,
    StatisticsObserver,
    as_arrays,
    from_arrays,
)
from quantkit.runtime.batching import Batch
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import Engine, ThreadEngine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Row, run_each
from quantkit.runtime.session import Arrays, Session
from quantkit.runtime.sessions import Reduction
from quantkit.runtime.where import HERE, Where

# Activations of all rows under way are held at once; fewer rows run at a time when they would pass this.
_MEMORY_LIMIT = 1 << 30
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """One tensor: the range chosen for its 256 levels, and the range seen."""

    low: float
    high: float
    seen_low: float
    seen_high: float

    @classmethod
    def of(cls, low: np.ndarray, high: np.ndarray) -> "Range":
        """Return smallest and largest of all channels' extremes: the estimator minmax."""
        least, most = float(low.min()), float(high.max())
        return cls(low=least, high=most, seen_low=least, seen_high=most)

    def around_zero(self) -> "Range":
        """Return the range widened to 127 levels above zero and 128 below it, which makes the zero point 128.

        With as much on both sides zero would lie between two levels, and be rounded to either.
        """
        largest = max(abs(self.low), abs(self.high))
        return replace(self, low=-largest * 128 / 127, high=largest)

    def as_json(self) -> dict[str, float]:
        """Return the four numbers by name."""
        return {"low": self.low, "high": self.high, "seen_low": self.seen_low, "seen_high": self.seen_high}


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationRun:
    """What to observe, on what, where, and how ranges are taken from it.

    Attributes:
        rows: the calibration rows.
        pad_id: the token that stands for none.
        method: the estimator, with its `percentile` if it has one.
        model_name: what messages call the model.
        where: threads of this process, or a cluster: what is seen is the same.
    """

    rows: Sequence[Row]
    pad_id: int
    method: str = "minmax"
    percentile: float = 99.99
    model_name: str | None = None
    where: Where = HERE

    def tokens(self) -> int:
        """Return the number of tokens that are observed."""
        return sum(len(row.input_ids) for row in self.rows)

    def by_method(self, method: str, percentile: float) -> "CalibrationRun":
        """Return the same run for another estimator."""
        return replace(self, method=method, percentile=percentile)

    def batches(self) -> list[Batch]:
        """Return every row that is not all padding as a batch of its own, longest first.

        Raises:
            DatasetError: there is none.
        """
        found = [
            Batch(indices=(index,), length=len(row.input_ids))
            for index, row in enumerate(self.rows)
            if len(row.input_ids) and (row.input_ids != self.pad_id).any()
        ]
        if not found:
            raise DatasetError("the calibration set holds nothing but padding; give questions with text")
        return sorted(found, key=lambda batch: -batch.length)


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
    model: ir.Model, tensors: Sequence[ir.Value], run: CalibrationRun, *, key: str
) -> dict[str, Range]:
    """Return the range of each tensor, from the cache when the same was calibrated before.

    Args:
        model: the FP32 model; its graph outputs are changed while this runs, and put back.
        tensors: float activations [1, tokens, width] of that graph.
        run: rows, method and its setting.
        key: digest of the model, the rows and the settings: what the cache compares.

    Raises:
        DatasetError: there is no row, or every row is padding.
        EvaluationError: an activation is NaN or infinite.
    """
    names = [tensor.name or "" for tensor in tensors]
    cached = cache_folder() / "calibration" / f"{key}.json"
    found = _read_cached(cached, key, names)
    if found is None:
        found = _observe(model, tensors, run)
        _write_cached(cached, {"key": key, "ranges": {name: found[name].as_json() for name in names}})
    return found


def calibration_key(model_digest: str, data_digest: str, settings: dict[str, object]) -> str:
    """Return the digest that the cache compares: model, data, settings, and the CPU whose kernels ran."""
    return digest_of(
        {"model": model_digest, "data": data_digest, "settings": settings, "cpu": cpu_facts().kernels_json()}
    )


def observe(
    model: ir.Model, tensors: Sequence[ir.Value], run: CalibrationRun, *, key: str, detail: Detail
) -> dict[str, Statistics]:
    """Return the statistics of each tensor; cached like the ranges, but for moments and sample, which are large.

    Args:
        model: the FP32 model; its graph outputs are changed while this runs, and put back.
        tensors: float activations [1, tokens, width] of that graph.
        run: the rows; its method is not used.
        key: digest of the model, the rows and the settings: what the cache compares.
        detail: how much is kept; moments take memory of width² numbers a tensor.

    Raises:
        DatasetError: there is no row, or every row is padding.
        EvaluationError: an activation is NaN or infinite.
    """
    if not tensors:
        return {}
    names = [tensor.name or "" for tensor in tensors]
    cached = cache_folder() / "calibration" / f"{key}-statistics.npz"
    found = None if detail > Detail.CHANNELS else _read_cached_statistics(cached, names)
    if found is None:
        batches = run.batches()
        observer = StatisticsObserver(names, batches, detail=detail)
        reduced = None
        if detail < Detail.MOMENTS:
            summaries = Summaries(detail=detail, per_row=observer.per_row)
            reduced = _Reduced(reduction=summaries, consume=observer.consume_summary)
        _run_observed(model, tensors, run, observer.consume, reduced)
        found = observer.statistics()
        _write_cached_statistics(cached, found)
    return found


def _observe(model: ir.Model, tensors: Sequence[ir.Value], run: CalibrationRun) -> dict[str, Range]:
    names = [tensor.name or "" for tensor in tensors]
    observer = _Histograms(names)
    reduced = _Reduced(reduction=histograms, consume=observer.consume_counted)
    _run_observed(model, tensors, run, observer.consume, reduced)
    estimate = METHODS[run.method]
    ranges = {}
    for name, histogram in zip(names, observer.histograms, strict=True):
        low, high = estimate(histogram, run.percentile)
        ranges[name] = Range(low=low, high=high, seen_low=histogram.low, seen_high=histogram.high)
    return ranges


def _run_observed(
    model: ir.Model,
    tensors: Sequence[ir.Value],
    run: CalibrationRun,
    consume: Callable[[Batch, Arrays], None],
    reduced: _Reduced | None,
) -> None:
    """Run every row alone and unpadded, and hand the tensors' values to `consume`, or what was made of them."""
    names = tuple(tensor.name or "" for tensor in tensors)
    batches = run.batches()
    job = NumberedJob(
        rows=run.rows,
        batches=batches,
        pad_id=run.pad_id,
        name=lambda index: f"calibration row {index}",
        places={batch.indices[0]: place for place, batch in enumerate(batches)},
    )
    with tempfile.TemporaryDirectory(prefix="quantkit-calibrate-") as folder:
        path = Path(folder) / "observed.onnx"
        _save_observed(model, tensors, path)
        row_bytes = _bytes_per_token(model.graph, names) * batches[0].length
        most = max(1, min(len(batches), _MEMORY_LIMIT // row_bytes))
        if run.where.engine == "ray":
            with _open_ray(path, names, run, len(batches) if reduced else most, reduced) as far:
                run_each(far, job, reduced.consume if reduced else consume, label="calibrate")
            return
        cores = cpu_facts().cores
        workers = min(cores, most)
        # A session with several threads is for one worker only.
        threads = cores if workers == 1 else 1
        session = Session(path, outputs=names, threads=threads, name=run.model_name)
        with ThreadEngine([session] * workers) as engine:
            run_each(engine, job, consume, label="calibrate")


def _open_ray(
    path: Path, names: tuple[str, ...], run: CalibrationRun, most: int, reduced: _Reduced | None
) -> Engine:
    """Open the observed model on a cluster, with an instance for each of its cores, or as many as there is use for."""
    profile = RuntimeProfile(instances=min(seats(run.where), most)).on(run.where)
    return open_engine(
        path,
        outputs=names,
        profile=profile,
        name=run.model_name,
        reduction=reduced.reduction if reduced else None,
    )


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


def _read_cached(path: Path, key: str, names: Sequence[str]) -> dict[str, Range] | None:
    """Return the cached ranges; None when there are none, or the file is broken or of another calibration."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        found = {name: Range(**content["ranges"][name]) for name in names}
        return found if all(_is_range(entry) for entry in found.values()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_cached_statistics(path: Path, names: Sequence[str]) -> dict[str, Statistics] | None:
    """Return the cached statistics; None when there are none, or the file is broken or of other tensors."""
    try:
        # A file of a single array is no mapping: TypeError.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            found = from_arrays(arrays)
        return {name: found[name] for name in names}
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write_cached_statistics(path: Path, statistics: Mapping[str, Statistics]) -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **as_arrays(statistics))
    try:
        write_bytes(path, content.getvalue())
    except OutputError as error:
        _LOG.warning("the calibration is not cached: %s", error)


def _write_cached(path: Path, content: dict[str, object]) -> None:
    try:
        write_json(path, content)
    except OutputError as error:
        _LOG.warning("the calibration is not cached: %s", error)


def _is_range(entry: Range) -> bool:
    """Tell whether the numbers are finite and in order."""
    ordered = entry.low <= entry.high and entry.seen_low <= entry.seen_high
    return ordered and all(math.isfinite(number) for number in entry.as_json().values())
