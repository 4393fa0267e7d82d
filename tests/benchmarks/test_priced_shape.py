"""A shape by prices alone, on invented prices."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from quantkit.architectures import Config, architecture
from quantkit.shapes import price
from quantkit.shapes.price import Prices

pytest.importorskip("scipy", reason="shapes are chosen by the solver")
PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "models" / "priced_shape.py"
spec = importlib.util.spec_from_file_location(PATH.stem, PATH)
assert spec is not None
assert spec.loader is not None
script = importlib.util.module_from_spec(spec)
sys.modules[PATH.stem] = script
spec.loader.exec_module(script)

ASKED = ["--layers", "4", "--hidden", "128", "--ffn", "512", "--step", "128", "--vocab", "100", "-o", "x"]


def test_limits_are_kept_and_first_layers_are_widest() -> None:
    """Parameters are those of the model that is made of it, and the price is under the limit."""
    options = script.read_options([*ASKED, "--max-parameters", "500000", "--min-throughput", "2"])
    blocks = script.list_blocks(options)
    costs = {
        block: {units: 1.0 + units * block.size for units in (*range(block.units, 0, -block.units // 2), 0)}
        for block in blocks
    }
    units, throughput = script.choose(Prices(blocks=costs, beside=0.0, whole=()), options)
    found = script.config(units, options)
    assert throughput >= 2
    assert found["feed_forward_per_layer"] == sorted(found["feed_forward_per_layer"], reverse=True)
    shape = architecture(found, "config.json").read_shape(Config(values=found, where="config.json"))
    assert [layer.heads for layer in shape.layers] == found["heads_per_layer"]
    # Three tables and their normalization, two normalizations a layer, and the head.
    beside = 128 * (100 + 512 + 2 + 2) + 4 * 4 * 128 + 2 * 129
    assert beside + sum(block.parameters(count) for block, count in units.items()) <= 500_000


def test_prices_add_up_to_whole_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks cost what they take one after the other, and none of them what short residuals take."""
    sizes: list[int] = []

    def measured(snippets: Sequence[Any], **_: Any) -> list[float]:
        sizes[:] = [len(list(snippet.build().graph)) for snippet in snippets]
        return [float(size) for size in sizes]

    monkeypatch.setattr(price, "measure_beside", measured)
    sizes_of = ["--layers", "2", "--hidden", "64", "--ffn", "128", "--step", "128", "-o", "x"]
    options = script.read_options([*sizes_of, "--max-parameters", "500000"])
    prices = script.price(script.list_blocks(options), options)
    none, every = sizes[-2:]
    assert prices.whole == (every,)
    assert prices.of({block: block.units for block in prices.blocks}) == pytest.approx(every, rel=1e-9)
    assert prices.of(dict.fromkeys(prices.blocks, 0)) == pytest.approx(none, rel=1e-9)
