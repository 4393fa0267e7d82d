"""The stages that make a smaller checkpoint of the recipe's own: `search` and `distill`, as a run uses them."""

import logging
from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Ingredients
from quantkit.errors import TrainingError
from quantkit.pipeline.searching import ingredients as search_ingredients
from quantkit.pipeline.searching import search_checkpoint
from quantkit.pipeline.stage import Stage
from quantkit.recipe.distill_settings import DistillSettings
from quantkit.recipe.search_settings import SearchSettings
from quantkit.records import DistillReport, ShapeSearch
from quantkit.report.live import LivePage
from quantkit.stages.distill import Family, distill
from quantkit.stages.distill import ingredients as distill_ingredients
from quantkit.stages.export import Source
from quantkit.stages.search import CHOSEN
from quantkit.tasks.data_places import DataPlaces

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """A search that ended.

    Attributes:
        folder: of the checkpoint that was chosen.
        report: the whole search.
    """

    folder: Path
    report: ShapeSearch

    @property
    def cost(self) -> dict[str, float]:
        """What it cost, by the names of the ledger, as far as its report says."""
        return {"seconds": round(sum(self.report.seconds.values()), 3)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """A distillation that ended.

    Attributes:
        folder: of the checkpoint.
        report: what was learned.
    """

    folder: Path
    report: DistillReport

    @property
    def cost(self) -> dict[str, float]:
        """What it cost, by the names of the ledger."""
        return {"seconds": self.report.seconds, "peak_memory_bytes": self.report.peak_memory_bytes}


def _search(original: Source, settings: SearchSettings, data: DataPlaces, out: Path) -> Searched:
    report = search_checkpoint(
        original.checkpoint,
        out,
        task=original.task,
        settings=settings,
        data_dir=data.data_dir,
        live=LivePage(Path(f"{out}.live.html"), _LOG.info),
    )
    if not report.met:
        chosen = report.candidates[report.chosen]
        _LOG.warning(
            "the search found nothing that keeps all that was asked; the run goes on with the nearest, %.3f times the "
            "throughput of the INT8 teacher: see %s",
            chosen.throughput,
            out / "search.html",
        )
    return Searched(folder=out / CHOSEN, report=report)


def _load_search(original: Source, settings: SearchSettings, data: DataPlaces, out: Path) -> Searched:
    del original, settings, data
    return Searched(folder=out / CHOSEN, report=ShapeSearch.read(out / "search.json"))


def _distill(family: Family, settings: DistillSettings, data: DataPlaces, out: Path) -> Learned:
    report = distill(family, out, settings=settings, data_dir=data.data_dir)
    return Learned(folder=out, report=report)


def _load_distill(family: Family, settings: DistillSettings, data: DataPlaces, out: Path) -> Learned:
    """Take a finished training.

    Raises:
        TrainingError: it ended because a loss was no number: the same settings would end so again.
    """
    del family, settings, data
    report = DistillReport.read(out / "distill.json")
    if report.ended == "nan":
        raise TrainingError(f"{out}: its loss became NaN or Infinity")
    return Learned(folder=out, report=report)


def _search_ingredients(original: Source, settings: SearchSettings, data: DataPlaces) -> Ingredients:
    return search_ingredients(original.checkpoint, settings, data, task=original.task)


SEARCH = Stage(name="search", ingredients=_search_ingredients, make=_search, load=_load_search)
DISTILL = Stage(name="distill", ingredients=distill_ingredients, make=_distill, load=_load_distill)
