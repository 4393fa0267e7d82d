"""The table of steps: what a run does, in its order."""

from collections.abc import Callable
from dataclasses import dataclass

from quantkit.pipeline.line import Line
from quantkit.pipeline.work import Ingredients
from quantkit.recipe.settings import Recipe


def _always(recipe: Recipe) -> bool:  # noqa: ARG001 - as every `wanted`
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of the line.

    Attributes:
        name: how people and the ledger call it.
        perform: does the work and puts the result on the line.
        folder: the artifact it makes; None for a report.
        ingredients: all that decides the result; None when the step is done every time.
        load: takes a finished result of the same ingredients onto the line, or raises a QuantkitError.
        needs: the steps whose artifacts it takes, those whose artifacts they were made from included.
        wanted: whether the recipe asks for it.
    """

    name: str
    perform: Callable[[Line], None]
    folder: str | None = None
    ingredients: Callable[[Line], Ingredients] | None = None
    load: Callable[[Line], None] | None = None
    needs: tuple[str, ...] = ()
    wanted: Callable[[Recipe], bool] = _always


_BASELINE = ("export", "fuse")
_CANDIDATE = (*_BASELINE, "quantize")

STEPS = (
    Step(name="export", folder="01-export", ingredients=Line.export_ingredients, perform=Line.export),
    Step(
        name="fuse",
        folder="02-fused",
        needs=("export",),
        ingredients=Line.fuse_ingredients,
        perform=Line.fuse,
        wanted=lambda recipe: recipe.fuse.enabled,
    ),
    Step(
        name="quantize",
        folder="03-int8",
        needs=_BASELINE,
        ingredients=Line.quantize_ingredients,
        perform=Line.quantize,
    ),
    Step(
        name="evaluate baseline",
        needs=_BASELINE,
        ingredients=Line.baseline_ingredients,
        perform=Line.evaluate_baseline,
        load=Line.evaluate_baseline,
    ),
    Step(
        name="evaluate candidate",
        needs=_CANDIDATE,
        ingredients=Line.candidate_ingredients,
        perform=Line.evaluate_candidate,
        load=Line.evaluate_candidate,
    ),
    Step(
        name="inspect",
        needs=_CANDIDATE,
        ingredients=Line.inspect_ingredients,
        perform=Line.inspect,
        load=Line.load_inspection,
    ),
    Step(name="gate", perform=Line.judge),
    Step(
        name="bench",
        needs=_CANDIDATE,
        ingredients=Line.bench_ingredients,
        perform=Line.measure,
        load=Line.load_bench,
        wanted=lambda recipe: recipe.bench is not None,
    ),
    Step(name="publish", perform=Line.publish, wanted=lambda recipe: recipe.publish is not None),
)
