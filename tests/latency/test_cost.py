"""Costs are of the graphs that were asked for, measured once, and kept."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from quantkit.errors import OutputError, QuantizationError, UsageError
from quantkit.files import cache_folder
from quantkit.latency import cost, table
from quantkit.latency.cost import measure_costs
from quantkit.latency.snippet import BATCH, SEQUENCE


@dataclass(frozen=True)
class Product:
    """A product with a square matrix, and what may stand in the graph in its place."""

    width: int
    operator: str = "MatMul"

    def describe(self) -> dict[str, Any]:
        """Return the width."""
        return {"product": self.width}

    def build(self) -> ir.Model:
        """Return x [batch, sequence, width] → y of the same shape."""
        shape = [BATCH, SEQUENCE, self.width]
        source = ir.val("x", ir.DataType.FLOAT, ir.Shape(shape))
        matrix = ir.tensor(np.eye(self.width, dtype=np.float32), name="weight")
        weight = ir.val("weight", const_value=matrix)
        node = ir.node(self.operator, [source, weight], name="product")
        node.outputs[0].name = "y"
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        node.outputs[0].shape = ir.Shape(shape)
        graph = ir.Graph(
            [source], node.outputs, nodes=[node], initializers=[weight], opset_imports={"": 17}, name="g"
        )
        return ir.Model(graph, ir_version=8)

    def check(self, executed: onnx.GraphProto) -> None:
        """Check that a product is executed."""
        if [node.op_type for node in executed.node] != ["MatMul"]:
            raise QuantizationError(f"{self} is none")


SMALL, MIDDLE, LARGE = Product(8), Product(16), Product(512)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[list[Product]]:
    """Replace the measurement by one that counts from 1, and return the list of what it was asked for."""
    asked: list[list[Product]] = []

    def measure(snippets: Sequence[Product], tokens: int, budget: float | None) -> list[float]:
        asked.append(list(snippets))
        return [number + 1.0 for number, _ in enumerate(snippets)]

    monkeypatch.setattr(cost, "_measure", measure)
    return asked


def file() -> Path:
    """Return the one table there is."""
    (path,) = (cache_folder() / "cost").iterdir()
    return path


def test_a_snippet_is_measured() -> None:
    """Its model is built, opened and timed; 4,096 times the work takes longer."""
    costs = measure_costs([LARGE, SMALL], tokens=64, seconds_budget=0)
    assert list(costs) == [LARGE, SMALL]
    assert 0 < costs[SMALL] < costs[LARGE]


def test_what_a_snippet_refuses_is_not_kept() -> None:
    """A graph that is executed otherwise than was asked for has no cost."""
    with pytest.raises(QuantizationError, match=r"operator='Add'\) is none"):
        measure_costs([Product(8, "Add")], tokens=8)
    assert not (cache_folder() / "cost").exists()


def test_costs_come_in_the_order_of_the_snippets(measured: list[list[Product]]) -> None:
    """The order is that of the snippets, each once, whatever was in the table before."""
    measure_costs([LARGE], tokens=8)
    assert list(measure_costs([MIDDLE, LARGE, SMALL, MIDDLE], tokens=8)) == [MIDDLE, LARGE, SMALL]


def test_only_what_is_missing_is_measured(measured: list[list[Product]]) -> None:
    """What the table knows is not measured again; another number of tokens has a table of its own."""
    first = measure_costs([SMALL, MIDDLE], tokens=8)
    again = measure_costs([MIDDLE, SMALL], tokens=8)
    more = measure_costs([SMALL, LARGE], tokens=8)
    assert measured == [[SMALL, MIDDLE], [LARGE]]
    assert again == first
    assert more == {SMALL: first[SMALL], LARGE: 1.0}
    measure_costs([SMALL], tokens=16)
    assert measured[2:] == [[SMALL]]


def test_what_is_described_alike_is_measured_once(measured: list[list[Product]]) -> None:
    """Two values with one description have one cost."""
    twin = Product(8, "Add")
    assert measure_costs([SMALL, twin], tokens=8) == {SMALL: 1.0, twin: 1.0}
    assert len(measured[0]) == 1


def test_what_others_measured_meanwhile_stays(
    measured: list[list[Product]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that grew while this process measured keeps what it got."""
    plain = cost._measure

    def slow(snippets: Sequence[Product], tokens: int, budget: float | None) -> list[float]:
        monkeypatch.setattr(cost, "_measure", plain)
        measure_costs([SMALL], tokens=8)
        return plain(snippets, tokens, budget)

    monkeypatch.setattr(cost, "_measure", slow)
    measure_costs([LARGE], tokens=8)
    measure_costs([SMALL, LARGE], tokens=8)
    assert measured == [[SMALL], [LARGE]]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content.replace("1.0", "-1.0"),
        lambda content: content.replace("1.0", "NaN"),
        lambda content: content.replace("quantkit/cost/2", "quantkit/cost/1"),
        lambda content: content.replace('"of"', '"request"'),
        lambda content: json.dumps({**json.loads(content), "key": "0" * 64}),
        lambda content: "",
    ],
)
def test_a_broken_table_is_measured_anew(measured: list[list[Product]], change: Any) -> None:
    """A table that is cut, holds impossible numbers, or is of something else, is replaced by a good one."""
    measure_costs([MIDDLE], tokens=8)
    good = file().read_text()
    file().write_text(change(good))
    measure_costs([MIDDLE], tokens=8)
    assert measured == [[MIDDLE], [MIDDLE]]
    assert file().read_text() == good


def test_rows_that_nobody_asks_for_stay(measured: list[list[Product]]) -> None:
    """What another client, or another version, described is no reason to measure everything anew."""
    measure_costs([MIDDLE], tokens=8)
    file().write_text(file().read_text().replace("product", "triangle"))
    measure_costs([MIDDLE], tokens=8)
    assert measured == [[MIDDLE], [MIDDLE]]
    rows = json.loads(file().read_text())["rows"]
    assert [row["of"] for row in rows] == [{"triangle": 16}, {"product": 16}]


def test_a_table_that_cannot_be_written_is_a_warning(
    measured: list[list[Product]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a place for the table the costs are returned all the same."""

    def refuse(path: Path, value: Any) -> None:
        raise OutputError(f"{path}: the disk is full")

    monkeypatch.setattr(table, "write_json", refuse)
    with caplog.at_level(logging.WARNING):
        assert measure_costs([SMALL], tokens=8) == {SMALL: 1.0}
    assert "the costs are not kept" in caplog.text


def timed(seconds: Sequence[float]) -> Any:
    return cost._Open(session=None, binding=None, seconds=list(seconds))


def test_when_it_is_enough() -> None:
    """A spent budget ends it after five rounds; without one, it ends when half the rounds say the same."""
    steady, falling = timed([1.0] * 20), timed([2.0] * 10 + [1.0] * 10)
    assert [cost._is_enough([steady], rounds, 1.0, 0.5) for rounds in (4, 5)] == [False, True]
    assert [cost._is_enough([steady], rounds, 1.0, None) for rounds in (11, 12)] == [False, True]
    assert not cost._is_enough([steady, falling], 20, 1.0, 5.0)


def test_disturbed_rounds_do_not_count() -> None:
    """Two rounds in three may be disturbed, and the cost is still that of the others."""
    assert timed([1.0, 9.0, 5.0] * 7).estimate(21) == 1.0


def test_no_token_costs_nothing() -> None:
    """Zero tokens are a mistake, not a division."""
    with pytest.raises(UsageError, match="give 1 or more"):
        measure_costs([SMALL], tokens=0)
