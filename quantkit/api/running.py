"""A recipe from its checkpoint to the registry."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quantkit.api.making import Place
from quantkit.pipeline.outcome import RunReport
from quantkit.pipeline.run import run as run_recipe
from quantkit.recipe.load import load_recipe


def run(
    recipe: Place,
    *,
    work: Place | None = None,
    changes: Mapping[str, Any] | None = None,
    data_dir: Place | None = None,
    force: bool = False,
    announce: Callable[[str], None] | None = None,
) -> RunReport:
    """Run a recipe; a run that was stopped goes on where it was, and steps that have not changed are kept.

    A verdict that is no pass is no error: `report.verdict` tells, and nothing was published then.

    Args:
        recipe: a YAML file, or the name of a recipe that ships with quantkit, such as `quickstart`.
        work: folder of the run; None: `runs/` and the recipe's name.
        changes: what is otherwise than the recipe says, such as {"quantize.mode": "dynamic", "checkpoint": "mine"}.
        data_dir: looked into first for datasets.
        force: do every step again, also those that have not changed.
        announce: is called with a line for each step that begins.

    Raises:
        RecipeError: the recipe cannot be found or read, or a change does not fit.
        QuantkitError: as the functions of its steps do.
    """
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in (changes or {}).items()}
    wanted = load_recipe(recipe, plain)
    return run_recipe(
        wanted,
        work=Path("runs") / wanted.name if work is None else Path(work),
        data_dir=None if data_dir is None else Path(data_dir),
        force=force,
        announce=announce,
    )
