"""The ladder and the time table: ratios are taken within rounds, and limits from the shapes of the trace."""

from types import ModuleType
from typing import Any

import pytest
from scripts import load_script


@pytest.fixture(scope="module")
def ladder() -> ModuleType:
    """Return benchmarks/ladder.py."""
    return load_script("benchmarks/ladder.py")


@pytest.fixture(scope="module")
def where() -> ModuleType:
    """Return benchmarks/where_time_goes.py."""
    return load_script("benchmarks/where_time_goes.py")


def test_ratios_within_rounds(ladder: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that is slow for all counts as much as any other: 2 and 4 times, whatever the rates."""
    monkeypatch.setattr(ladder, "f1_of", lambda artifact: artifact)

    def climb(name: str, rates: list[float], f1: float | None) -> Any:
        rung = ladder.Rung(name=name, artifact=f1, profile=None)
        found = ladder.Climb(rung=rung, engine=None, job=None, feeds=[])
        found.rates, found.cpu_rates = rates, [rate / 2 for rate in rates]
        return found

    climbs = [
        climb("a", [1.0, 10.0, 2.0], None),
        climb("b", [2.0, 20.0, 4.0], 90.0),
        climb("c", [4.0, 40.0, 10.0], None),
    ]
    results = ladder.summed_up(climbs)
    assert [(row.ratio, row.spread, row.step, row.cpu_ratio) for row in results] == [
        (1.0, (1.0, 1.0), 1.0, 1.0),
        (2.0, (2.0, 2.0), 2.0, 2.0),
        (4.0, (4.0, 5.0), 2.0, 4.0),
    ]
    table = ladder.markdown(results).splitlines()
    assert table[3] == "| b | 4.00 | **2.00** | 2.00 - 2.00 | 2.00 | 2.00 | 90.000 |"
    assert table[4].endswith("| - |")


def test_padded_rows_are_spread_over_the_sample(ladder: ModuleType) -> None:
    """The first rung takes every so-manieth row, alone and padded to 384."""
    rung = ladder.Rung(name="padded", artifact=None, profile=None, padded=True)
    options = ladder.read_options(["fused", "int8", "--padded", "4"])
    batches = ladder.cut(rung, [7] * 12, options)
    assert [(batch.indices, batch.length) for batch in batches] == [((row,), 384) for row in (0, 3, 6, 9)]


def event(name: str, operator: str, inputs: Any, outputs: Any, microseconds: int) -> dict[str, Any]:
    """Return an event of a trace."""
    arguments = {"op_name": operator, "input_type_shape": inputs, "output_type_shape": outputs}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": microseconds, "args": arguments}


def test_limits(where: ModuleType) -> None:
    """Products are limited by their multiply-accumulates, attention by those of both products, all else by bytes."""
    limits = where.Limits(integer_macs=100.0, float_macs=10.0, copied_bytes={64: 32.0, 1024: 16.0})
    x, y = [{"uint8": [2, 3, 4]}], [{"float": [2, 3, 5]}]
    assert where.limit_of(event("p", "MatMulIntegerToFloat", x, y, 1), limits) == 2 * 3 * 4 * 5 / 100
    assert where.limit_of(event("p", "MatMul", x, y, 1), limits) == 2 * 3 * 4 * 5 / 10
    heads = [{"float": [2, 3, 8]}, {"float": [2, 7, 8]}, {"float": [2, 7, 8]}]
    assert where.limit_of(event("a", "MultiHeadAttention", heads, y, 1), limits) == 2 * 2 * 3 * 7 * 8 / 10
    # 24 bytes in, 120 out: the slower rate, as the larger tensor is above 64 bytes.
    assert where.limit_of(event("q", "Gelu", x, y, 1), limits) == (24 + 120) / 16
    assert where.limit_of(event("g", "Gather", x, y, 1), limits) == 240 / 16


def test_fastest_run_of_each_node(where: ModuleType) -> None:
    """An operator's time is the sum over its nodes of their fastest runs, for 1,000 tokens."""
    limits = where.Limits(integer_macs=1e6, float_macs=1e6, copied_bytes={1024: 1e6})
    x = [{"float": [1, 2, 2]}]
    events = [
        event("a", "Gelu", x, x, 30),
        event("b", "Gelu", x, x, 8),
        event("a", "Gelu", x, x, 10),
        event("b", "Gelu", x, x, 9),
        event("c", "Add", x, x, 6),
        {"cat": "Session", "name": "run"},
    ]
    rows = where.summed_up(events, limits, tokens=2)
    assert [(row.operator, row.nodes, row.time_us, row.share) for row in rows] == [
        ("Gelu", 2, pytest.approx(9000), pytest.approx(0.75)),
        ("Add", 1, pytest.approx(3000), pytest.approx(0.25)),
    ]
