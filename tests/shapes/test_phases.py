"""One line for a whole search: what its parts are expected to take."""

import ast
import inspect

from quantkit.architectures import EncoderShape, LayerShape
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shapes.phases import expected

SHAPE = EncoderShape(layers=(LayerShape(hidden=32, heads=4, head_size=8, feed_forward=64),) * 2)


def test_damage_is_counted_in_trials() -> None:
    """One for the teacher, and one for each option that is not a whole block."""
    settings = SearchSettings(step=32)
    assert expected(SHAPE, settings)["damage"] == 1 + 2 * (4 + 2)


def test_more_questions_and_candidates_take_longer() -> None:
    """No part is for nothing, and candidates grow with what is asked of them."""
    few = expected(SHAPE, SearchSettings(candidates=1, select_questions=100))
    many = expected(SHAPE, SearchSettings(candidates=4, select_questions=400))
    assert min(few.values()) > 0
    assert many["candidates"] > 1.5 * few["candidates"]


def test_every_part_that_is_begun_is_expected() -> None:
    """The names in the code of the search and of the stage are those of the weights, in their order."""
    from importlib import import_module

    begun = [
        call.args[0].value
        for module in ("quantkit.stages.search", "quantkit.shapes.find")
        for call in ast.walk(ast.parse(inspect.getsource(import_module(module))))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in ("phase", "laps.part")
        and isinstance(call.args[0], ast.Constant)
    ]
    assert sorted(begun) == sorted(expected(SHAPE, SearchSettings()))
