"""The table of steps: what a run does, in its order."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.artifact import Ingredients
from quantkit.pipeline.line import Line
from quantkit.pipeline.smaller import DISTILL, SEARCH
from quantkit.pipeline.stage import Stage
from quantkit.pipeline.stages import (
    BENCH,
    EVALUATE,
    EXPORT,
    FUSE,
    GATE,
    INSPECT,
    PUBLISH,
    QUANTIZE,
)
from quantkit.recipe.settings import Recipe


def _always(recipe: Recipe) -> bool:  # noqa: ARG001 - as every `wanted`
    return True


def _none(line: Line) -> None:
    """Return the settings of a stage that has none."""


def _smaller(recipe: Recipe) -> bool:
    return recipe.makes_smaller


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of the line.

    Attributes:
        name: how people and the ledger call it.
        stage: what is done.
        takes: what the stage gets: an artifact, or several.
        settings: its settings.
        needs: the steps whose artifacts it takes, those whose artifacts they were made from included.
        folder: the artifact it makes; None for a report.
        wanted: whether the recipe asks for it.
    """

    name: str
    stage: Stage
    takes: Callable[[Line], Any]
    settings: Callable[[Line], Any]
    needs: tuple[str, ...] = ()
    folder: str | None = None
    wanted: Callable[[Recipe], bool] = _always

    @property
    def every_time(self) -> bool:
        """Nothing of an earlier run is kept."""
        return self.stage.ingredients is None

    def ingredients(self, line: Line) -> Ingredients:
        """Return all that decides what the step would make now."""
        assert self.stage.ingredients is not None, f"{self.name} is done every time"
        return self.stage.ingredients(self.takes(line), self.settings(line), line.data)

    def make(self, line: Line) -> None:
        """Do the work, and put the result on the line."""
        line.made[self.name] = self.stage.make(
            self.takes(line), self.settings(line), line.data, self.place(line)
        )

    def load(self, line: Line) -> None:
        """Put a finished result of the same ingredients on the line.

        Raises:
            QuantkitError: it cannot be used.
        """
        assert self.stage.load is not None, f"{self.name} is done every time"
        line.made[self.name] = self.stage.load(
            self.takes(line), self.settings(line), line.data, self.place(line)
        )

    def place(self, line: Line) -> Path:
        """Return the folder of the artifact it makes; for a report the run's."""
        return line.work.path / self.folder if self.folder else line.work.path


_CHECKPOINT = ("search", "distill")
_PLAIN = (*_CHECKPOINT, "export", "fuse")
_CANDIDATE = (*_PLAIN, "quantize")
_ORIGINAL = ("export original", "fuse original")
# Without a smaller model the original's artifact is the one that is quantized.
_BASELINE = (*_ORIGINAL, *_PLAIN)

STEPS = (
    Step(
        name="search",
        stage=SEARCH,
        takes=lambda line: line.original,
        settings=lambda line: line.search_settings,
        folder="00-search",
        wanted=lambda recipe: recipe.search is not None,
    ),
    Step(
        name="distill",
        stage=DISTILL,
        takes=lambda line: line.family,
        settings=lambda line: line.distill_settings,
        needs=("search",),
        folder="00-student",
        wanted=lambda recipe: recipe.distill is not None,
    ),
    Step(
        name="export original",
        stage=EXPORT,
        takes=lambda line: line.original,
        settings=lambda line: line.recipe.export,
        folder="00-original",
        wanted=_smaller,
    ),
    Step(
        name="fuse original",
        stage=FUSE,
        takes=lambda line: line.made["export original"],
        settings=lambda line: line.recipe.fuse,
        needs=("export original",),
        folder="00-original-fused",
        wanted=lambda recipe: _smaller(recipe) and recipe.fuse.enabled,
    ),
    Step(
        name="quantize original",
        stage=QUANTIZE,
        takes=lambda line: line.baseline,
        settings=lambda line: line.quantize_settings,
        needs=_ORIGINAL,
        folder="00-original-int8",
        wanted=lambda recipe: recipe.quantizes_both,
    ),
    Step(
        name="export",
        stage=EXPORT,
        takes=lambda line: line.source,
        settings=lambda line: line.recipe.export,
        needs=_CHECKPOINT,
        folder="01-export",
    ),
    Step(
        name="fuse",
        stage=FUSE,
        takes=lambda line: line.exported,
        settings=lambda line: line.recipe.fuse,
        needs=(*_CHECKPOINT, "export"),
        folder="02-fused",
        wanted=lambda recipe: recipe.fuse.enabled,
    ),
    Step(
        name="quantize",
        stage=QUANTIZE,
        takes=lambda line: line.plain,
        settings=lambda line: line.candidate_settings,
        needs=_PLAIN,
        folder="03-int8",
    ),
    Step(
        name="evaluate baseline",
        stage=EVALUATE,
        takes=lambda line: line.baseline,
        settings=lambda line: line.recipe.evaluate,
        needs=_BASELINE,
    ),
    Step(
        name="evaluate student",
        stage=EVALUATE,
        takes=lambda line: line.plain,
        settings=lambda line: line.recipe.evaluate,
        needs=_PLAIN,
        wanted=_smaller,
    ),
    Step(
        name="evaluate original int8",
        stage=EVALUATE,
        takes=lambda line: line.original_int8,
        settings=lambda line: line.recipe.evaluate,
        needs=(*_ORIGINAL, "quantize original"),
        wanted=lambda recipe: recipe.quantizes_both,
    ),
    Step(
        name="evaluate candidate",
        stage=EVALUATE,
        takes=lambda line: line.candidate,
        settings=lambda line: line.recipe.evaluate,
        needs=_CANDIDATE,
    ),
    Step(
        name="inspect original",
        stage=INSPECT,
        takes=lambda line: line.baseline,
        settings=_none,
        needs=_ORIGINAL,
        wanted=_smaller,
    ),
    Step(
        name="inspect student",
        stage=INSPECT,
        takes=lambda line: line.plain,
        settings=_none,
        needs=_PLAIN,
        wanted=_smaller,
    ),
    Step(
        name="inspect",
        stage=INSPECT,
        takes=lambda line: line.candidate,
        settings=_none,
        needs=_CANDIDATE,
    ),
    Step(
        name="gate",
        stage=GATE,
        takes=lambda line: line.evidence,
        settings=lambda line: line.gate_settings,
    ),
    Step(
        name="bench",
        stage=BENCH,
        takes=lambda line: line.measured,
        settings=lambda line: line.recipe.bench,
        needs=(*_ORIGINAL, "quantize original", *_CANDIDATE),
        wanted=lambda recipe: recipe.bench is not None,
    ),
    Step(
        name="publish",
        stage=PUBLISH,
        takes=lambda line: line.candidate,
        settings=lambda line: line.recipe,
        wanted=lambda recipe: recipe.publish is not None,
    ),
)
