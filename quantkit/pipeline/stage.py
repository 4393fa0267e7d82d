"""What a stage is to a run: what decides its result, how it is made, and how a finished one is taken."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.artifact import Ingredients
from quantkit.tasks.data_places import DataPlaces

Use = Callable[[Any, Any, DataPlaces, Path], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: how its key calls it.
        ingredients: (what it takes, settings, data) → all that decides the result; None: it is done every time.
        make: (what it takes, settings, data, folder) → the result. The folder is the artifact's, or the run's.
        load: the same for a finished result of the same ingredients; raises a QuantkitError where it cannot be used.
    """

    name: str
    make: Use
    ingredients: Callable[[Any, Any, DataPlaces], Ingredients] | None = None
    load: Use | None = None
