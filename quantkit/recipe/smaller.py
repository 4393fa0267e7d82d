"""Smaller: what the sections that make a smaller model must say together."""

from collections.abc import Callable

from quantkit.errors import RecipeError
from quantkit.recipe.settings import Recipe


def require_whole(recipe: Recipe, name: Callable[[tuple[str, ...]], str]) -> None:
    """Check that it is known which model is made smaller, on what, and that the gate's questions stay out of it.

    Args:
        recipe: as it was read.
        name: location → how messages name it.

    Raises:
        RecipeError: it is not, or is said twice.
    """
    if recipe.student is not None and recipe.search is not None:
        raise RecipeError(f"{name(('student',))}: the search makes one; leave out either student or search")
    if recipe.distill is not None and not recipe.makes_smaller:
        raise RecipeError(
            f"{name(('distill',))}: nothing says who learns; add a section search, or name a checkpoint with student"
        )
    if recipe.search is not None and recipe.search.data is None:
        raise RecipeError(
            f"{name(('search', 'data'))}: is missing; give questions that the gate does not use, such as squad-train "
            "or a file"
        )
    if recipe.makes_smaller and recipe.export.revision is not None:
        raise RecipeError(
            f"{name(('export', 'revision'))}: a student has none, and a search takes the newest; download that "
            "revision, and give its folder as checkpoint"
        )
    for section in ("search", "distill"):
        settings = getattr(recipe, section)
        said = settings.gate_data if settings else None
        if said is not None and said != recipe.evaluate.data:
            raise RecipeError(
                f"{name((section, 'gate_data'))}: is {said}, and the gate's questions are {recipe.evaluate.data} "
                "(evaluate.data); leave it out"
            )
