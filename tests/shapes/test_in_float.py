"""Options that keep a block in float: how they are counted, named, priced and chosen."""

from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from quantkit.graph.kernels import LINEAR_KERNELS
from quantkit.graph.linear import matching
from quantkit.recipe.marks import in_key
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shapes.block_model import BlockRequest
from quantkit.shapes.blocks import Block
from quantkit.shapes.damage import _rising
from quantkit.shapes.feasible import require_feasible
from quantkit.shapes.goal import Beside, goal_of
from quantkit.shapes.in_float import InFloat, Option
from quantkit.shapes.keep_float import patterns
from quantkit.shapes.options import Ladder, float_counts, unit_counts
from quantkit.shapes.search import Search
from quantkit.shapes.slots import SIZE, Space, named, pool, size_of, space_of, uniform

BLOCKS = [
    Block(layer=layer, kind=kind, path=f"bert.encoder.layer.{layer}", units=units, size=size, hidden=8)  # type: ignore[arg-type]
    for layer in (1, 11)
    for kind, units, size in (("attention", 4, 2), ("feed_forward", 32, 1))
]
HURT = BLOCKS[1]


def space(coverage: float = 0.0) -> Space:
    """Return a space where float costs three times as much, and `HURT` is hurt by INT8 alone."""
    damages: dict[Block, dict[Option, float]] = {}
    costs: dict[Block, dict[Option, float]] = {}
    for block in BLOCKS:
        counts = [block.units, block.units // 2, 0]
        lost = {count: 1 - count / block.units for count in counts}
        gain = 2.0 if block is HURT else 0.001
        damages[block] = {**lost, **{InFloat(count): lost[count] - gain for count in counts[:2]}}
        costs[block] = {
            **{count: float(count / block.units) for count in counts},
            **{InFloat(count): 3.0 * count / block.units for count in counts[:2]},
        }
    return space_of(damages, costs, coverage=coverage)


@pytest.mark.parametrize(
    ("cost", "kept"), [(6.0, InFloat(32)), (4.9, InFloat(16)), (4.0, InFloat(16)), (0.9, 16)]
)
def test_what_int8_hurts_stays_float_where_the_limit_allows(cost: float, kept: Option) -> None:
    """Scheme and width go together: less float, or none, where there is less to spend; the others are INT8."""
    found = space()
    (solution,) = pool(found, cost, (), count=1)
    chosen = found.chosen(solution)
    assert chosen[HURT] == kept
    assert [
        block for block, option in chosen.items() if isinstance(option, InFloat) and block is not HURT
    ] == []


@pytest.mark.parametrize(
    ("coverage", "kept"), [(0.66, InFloat(32)), (0.67, InFloat(16)), (0.79, InFloat(16)), (0.81, 32)]
)
def test_enough_stays_int8(coverage: float, kept: Option) -> None:
    """Of 1,536 multiplications for a token `HURT` has 512; halved in float, 256 of 1,280."""
    found = space(coverage)
    goal = goal_of(
        SearchSettings(min_throughput="1x", float_blocks=True),
        Beside(parameters=0, size=0, activations=0, cost=0.0),
        100.0,
        10,
    )
    require_feasible(found, goal)
    (solution,) = pool(found, goal.cost, goal.limits, count=1)
    assert found.chosen(solution)[HURT] == kept


def corrected(of: Space, measured: list[tuple[dict[Block, Option], float]]) -> Space:
    """Return the space as candidates say that had these divergences, of an INT8 teacher that has 1.0."""

    def judged(divergence: float) -> Any:
        return SimpleNamespace(marks=SimpleNamespace(divergence=divergence))

    search = object.__new__(Search)
    search.space = of
    search.teacher = SimpleNamespace(judged=judged(1.0))  # type: ignore[assignment]
    search.candidates = [SimpleNamespace(units=units, judged=judged(found)) for units, found in measured]  # type: ignore[misc]
    return search._corrected()


def test_what_float_takes_away_is_corrected_too() -> None:
    """Counted from the least of each block no damage is below 0; nothing measured, options differ as before."""
    found = space()
    shifted = corrected(found, [])
    for slot, options in found.slots.items():
        least = min(option.damage for option in options)
        assert [one.damage for one in shifted.slots[slot]] == [one.damage - least for one in options]
    # Of the 2 nats that float was to take from HURT there was 1; all in float tells of no factor.
    whole: dict[Block, Option] = {block: InFloat(block.units) for block in BLOCKS}
    measured = corrected(found, [(whole, 0.0), ({**whole, HURT: 32}, 1.0)])
    damages = [option.damage for options in measured.slots.values() for option in options]
    assert min(damages) == 0
    float_gain = measured.slots[HURT.slot][0].damage - measured.slots[HURT.slot][3].damage
    assert 0 < float_gain < 2.0
    assert measured.slots == corrected(found, [({**whole, HURT: 32}, 1.0)]).slots


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.slot)
def test_float_is_never_smaller(block: Block) -> None:
    """Limits on size count four bytes for each weight of a block that stays float."""
    for units in range(1, block.units + 1):
        assert size_of(block, InFloat(units)) > size_of(block, units)
    options = space().slots[block.slot]
    assert [option.uses[SIZE] for option in options[3:]] == [
        size_of(block, InFloat(block.units)),
        size_of(block, InFloat(block.units // 2)),
    ]


def test_the_uniform_shape_is_int8() -> None:
    """What a search must beat has no scheme of its own."""
    assert set((uniform(space(), 100.0, ()) or {}).values()) == {4, 32}


def test_int8_is_called_what_it_was() -> None:
    """Journals and tables of searches without float blocks answer, and none takes float for INT8."""
    asked: dict[str, Any] = {"kind": "attention", "hidden": 8, "units": 4, "size": 2}
    assert named({BLOCKS[0]: 4, BLOCKS[1]: InFloat(16)}) == {
        "layer.1.attention": 4,
        "layer.1.feed_forward": "16 in float",
    }
    assert "scheme" not in BlockRequest(**asked).describe()
    assert BlockRequest(**asked, scheme="float").describe()["scheme"] == "float"
    assert "float_blocks" not in in_key(SearchSettings())
    assert "min_int8_coverage" not in in_key(SearchSettings())
    assert in_key(SearchSettings(float_blocks=True))["float_blocks"] is True


def test_float_is_offered_at_some_widths() -> None:
    """The whole block and about three quarters, a half and a quarter of it, each of them a width that INT8 has too."""
    block = Block(layer=0, kind="feed_forward", path="l", units=1536, size=1, hidden=384)
    assert float_counts(block, 128) == (1536, 1152, 768, 384)
    assert float_counts(block, 512) == (1536, 1024, 512)
    assert set(float_counts(block, 512)) < set(unit_counts(block, 512))


def test_a_ladder_has_float_last() -> None:
    """Without float blocks its options are its numbers of units."""
    parts: Any = {4: None, 2: None, 0: None}
    order: Any = None
    assert Ladder(block=BLOCKS[0], order=order, parts=parts).options == (4, 2, 0)
    assert Ladder(block=BLOCKS[0], order=order, parts=parts, floats=(4, 2)).options == (
        *(4, 2, 0),
        *(InFloat(4), InFloat(2)),
    )


def test_fewer_units_in_float_hurt_no_less() -> None:
    """From the whole block in float on, which may be nearer to the teacher than INT8 is."""
    assert _rising({InFloat(4): -0.5, InFloat(2): -0.6, InFloat(1): 0.1}) == {
        InFloat(4): -0.5,
        InFloat(2): -0.5,
        InFloat(1): 0.1,
    }


@pytest.mark.parametrize("kind", ["attention", "feed_forward"])
def test_a_float_block_is_priced_as_float(kind: Any) -> None:
    """The model that is timed multiplies no integers, and its check asks for none."""
    asked = BlockRequest(kind=kind, hidden=16, units=4, size=4, scheme="float")
    graph = onnx.helper.make_graph([], "none", [], [])
    asked.check(graph)
    operators = [node.op_type for node in asked.build().graph]
    linear = [name for name in operators if name in LINEAR_KERNELS]
    assert len(linear) == {"attention": 4, "feed_forward": 2}[kind]
    assert not any(LINEAR_KERNELS[name].integer for name in linear)
    assert "QuantizeLinear" not in operators


def test_patterns_name_the_blocks_layers_alone() -> None:
    """Of layer 1 those of layer 11 are none, nor is the attention's output the network's; whoever the family is."""
    names = [
        name.replace("bert.", "decibert.", 1)
        for block in BLOCKS
        for name in (*block.readers, block.projection)
    ]
    for block in BLOCKS:
        own = {name.replace("bert.", "decibert.", 1) for name in (*block.readers, block.projection)}
        assert matching(names, list(patterns(block))) == own
