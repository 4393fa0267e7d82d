"""The tables of what can be chosen by name: a new one is one file and one line here.

A line says where the thing is, as `module:attribute`, and what it is in a few words. Nothing is imported until it is
used, so that recipes, help and completion know every name without the libraries behind them. Settings check names
against a table by `OneOf`; `make generate` brings the command line, docs/cli.md and the schema up to date.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class Table(Mapping[str, str]):
    """Name → what it is, in words; and where it is.

    Args:
        rows: name → (`module:attribute`, what it is). An empty place: the name alone says it all.
    """

    def __init__(self, rows: Mapping[str, tuple[str, str]]) -> None:
        self._rows = dict(rows)

    def __getitem__(self, name: str) -> str:
        return self._rows[name][1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    __hash__ = object.__hash__  # annotations that name a table are kept in sets

    def load(self, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            KeyError: there is no such name, or nothing behind it.
        """
        module, _, attribute = self._rows[name][0].partition(":")
        if not module:
            raise KeyError(name)
        return getattr(importlib.import_module(module), attribute)

    def loaded(self) -> "Loaded":
        """Return name → the thing itself, imported when it is looked up."""
        return Loaded(self, tuple(name for name, (place, _) in self._rows.items() if place))


@dataclass(frozen=True, slots=True)
class Loaded(Mapping[str, Any]):
    """The things behind a table's names."""

    table: Table
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> Any:
        return self.table.load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks a field of text as a name of a table: `Annotated[str, OneOf(ENGINES)]`.

    Attributes:
        table: the names, in the order they are told in.
        only: the names that are allowed here; empty for all of them.
    """

    table: Table
    only: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What the field may be."""
        return self.only or tuple(self.table)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Let pydantic check and describe the field as a choice of words."""
        del source, handler
        from pydantic_core import core_schema

        return core_schema.literal_schema(list(self.names))


RANGE_METHODS = Table(
    {
        "minmax": ("", "from the smallest value to the largest"),
        "percentile": (
            "quantkit.quantization.observe.ranges.percentile:estimate",
            "the part that holds so many percent of the values",
        ),
        "entropy": (
            "quantkit.quantization.observe.ranges.entropy:estimate",
            "the part whose rounded distribution is nearest to the values'",
        ),
        "mse": ("quantkit.quantization.observe.ranges.mse:estimate", "the part of least squared error"),
    }
)
"""How the range of a tensor comes from what was observed; minmax needs no histogram (`ranges.RangeMethod`)."""

ROUNDINGS = Table(
    {
        "nearest": ("quantkit.quantization.rounding.nearest:round_weight", "to the nearest level"),
        "gptq": ("quantkit.quantization.rounding.gptq:round_weight", "GPTQ on the calibration data"),
    }
)
"""How weights become levels (`rounding.Rounding`)."""

ENGINES = Table(
    {
        "threads": (
            "quantkit.runtime.engine.threads:open_threads",
            "in one process, which holds the weights once",
        ),
        "processes": (
            "quantkit.runtime.engine.processes:open_processes",
            "each with memory and cores of its own",
        ),
        "ray": ("quantkit.cluster.engine:open_ray", "on a Ray cluster"),
    }
)
"""What runs the instances of a model (`quantkit.engines.OpenEngine`)."""

RUNTIMES = Table(
    {
        "onnxruntime": ("quantkit.runtime.session:Session", "runs every artifact"),
        "openvino": ("quantkit.runtime.openvino_session:OpenVinoSession", "needs quantkit[openvino]"),
    }
)
"""What runs a graph (`quantkit.runtime.sessions.OpenSession`)."""

TASKS = Table(
    {
        "squad": ("quantkit.tasks.squad:TASK", "answers are parts of a paragraph"),
        "text-classification": ("quantkit.tasks.text_classification:TASK", "a text, or two, get a label"),
        "multi-label-classification": ("quantkit.tasks.multi_label:TASK", "they get any number of labels"),
        "text-regression": ("quantkit.tasks.text_regression:TASK", "they get a number"),
        "reranking": ("quantkit.tasks.reranking:TASK", "passages of a query get an order"),
        "token-classification": ("quantkit.tasks.token_classification:TASK", "each word gets a tag (NER)"),
        "sentence-similarity": (
            "quantkit.tasks.sentence_similarity:TASK",
            "a text gets an embedding, two texts a similarity",
        ),
    }
)
"""What a model does (`quantkit.tasks.Task`)."""

SCENARIOS = Table(
    {
        "offline": ("quantkit.stages.bench.offline:Offline", "throughput in batches"),
        "single-stream": ("quantkit.stages.bench.single_stream:SingleStream", "one question at a time"),
        "server": (
            "quantkit.stages.bench.server:Server",
            "random arrivals, the highest rate that is held",
        ),
    }
)
"""What bench measures (`quantkit.stages.bench.scenario.Scenario`)."""
