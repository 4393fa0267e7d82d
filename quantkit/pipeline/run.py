"""Runs a recipe from its checkpoint to the registry, and goes on where an earlier run stopped."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quantkit.artifact import Artifact, Ingredients
from quantkit.artifact.measure import measuring, peak_memory
from quantkit.errors import QuantkitError
from quantkit.files import write_json
from quantkit.pipeline.line import Line, require_data
from quantkit.pipeline.outcome import Plan, RunReport, StepReport, sum_up
from quantkit.pipeline.smaller import Learned, Searched
from quantkit.pipeline.steps import STEPS, Step
from quantkit.pipeline.work import Entry, WorkFolder
from quantkit.recipe.settings import Recipe
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.own_metric import require_allowed

REPORT = "run.json"


def run(
    recipe: Recipe,
    *,
    work: Path,
    data_dir: Path | None = None,
    force: bool = False,
    allow_code: bool = False,
    announce: Callable[[str], None] | None = None,
) -> RunReport:
    """Run a recipe. Steps that are finished and whose ingredients have not changed are kept.

    When the gate does not pass, its reports are written and nothing is published.

    Args:
        recipe: the whole instruction.
        work: the folder of this recipe's runs.
        data_dir: where datasets are looked for first.
        force: do every step again.
        allow_code: a metric of one's own that the recipe names may be run.
        announce: called with one line as each step starts or is kept.

    Raises:
        QuantkitError: as the stages do; what was finished before stays.
    """
    started = time.perf_counter()
    require_allowed(recipe.evaluate.metric, allow_code=allow_code)
    announce = announce or _say_nothing
    folder = WorkFolder(work)
    with folder.held(made=(REPORT, *(step.folder for step in STEPS if step.folder))):
        line = Line(recipe, folder, DataPlaces(data_dir=data_dir, allow_code=allow_code))
        require_data(line)
        reports = []
        for step in STEPS:
            if not step.wanted(recipe) or (step.name == "publish" and line.gate.verdict != "pass"):
                continue
            reports.append(_take(step, line, force=force, announce=announce))
            if step.name == "gate":
                announce(f"gate: {line.gate.verdict}, ratio {line.gate.ratio:.6f}")
        report = sum_up(line, reports, time.perf_counter() - started)
        write_json(work / REPORT, report.as_json())
    return report


def plan(recipe: Recipe, *, work: Path, data_dir: Path | None = None, force: bool = False) -> Plan:
    """Return what `run` would do now, and why. Writes nothing, downloads no checkpoint.

    Raises:
        QuantkitError: the checkpoint or a dataset cannot be found.
    """
    folder = WorkFolder(work)
    line = Line(recipe, folder, DataPlaces(data_dir=data_dir, offline=True))
    require_data(line)
    steps: list[StepReport] = []
    anew: list[str] = []
    for step in STEPS:
        if not step.wanted(recipe):
            continue
        if step.every_time:
            why = "if the gate passes" if step.name == "publish" else "is done every time"
            steps.append(StepReport(step=step.name, action="run", why=why))
            continue
        before = [name for name in anew if name in step.needs]
        why_not = f"after {before[-1]}, whose result may change" if before else None
        if why_not is None:
            why_not = _why_run(step, line, step.ingredients(line), force=force, load=False)
        if why_not is None:
            steps.append(StepReport(step=step.name, action="keep", why="nothing has changed"))
        else:
            steps.append(StepReport(step=step.name, action="run", why=why_not))
            anew.append(step.name)
    return Plan(recipe=recipe.name, work=str(work), steps=tuple(steps))


def _say_nothing(line: str) -> None:
    del line


def _take(step: Step, line: Line, *, force: bool, announce: Callable[[str], None]) -> StepReport:
    """Keep a step or do it."""
    if step.every_time:
        announce(step.name)
        cost = _measured(step, line)
        return StepReport(step=step.name, action="run", why="is done every time", **cost)
    ingredients = step.ingredients(line)
    why = _why_run(step, line, ingredients, force=force, load=True)
    if why is None:
        announce(f"{step.name}: kept, nothing has changed")
        return _kept(step, line)
    announce(f"{step.name}: {why}")
    return _done(step, line, ingredients, why)


def _kept(step: Step, line: Line) -> StepReport:
    """Report a step whose result was loaded."""
    entry = line.work.entry(step.name)
    assert entry is not None, "only a step that is in the ledger is kept"
    if not entry.done:  # killed between finishing and writing so, which only a folder survives
        entry = entry.model_copy(update={**_recorded_cost(line.made[step.name]), "done": True})
        line.work.write(step.name, entry)
    return StepReport(
        step=step.name,
        action="keep",
        why="nothing has changed",
        seconds=entry.seconds,
        peak_memory_bytes=entry.peak_memory_bytes,
    )


def _recorded_cost(made: Artifact | Searched | Learned) -> dict[str, float]:
    """Return what a folder says of its own cost, by the names of the ledger."""
    if not isinstance(made, Artifact):
        return made.cost
    record = made.manifest.stages[-1]
    return {"seconds": record.seconds, "peak_memory_bytes": record.peak_memory_bytes}


def _done(step: Step, line: Line, ingredients: Ingredients, why: str) -> StepReport:
    """Do a step; write the ledger so that a kill at any moment leaves a finished step or none."""
    if step.folder:
        line.work.remove(step.folder)
    entry = Entry(key=ingredients.key(step.stage.name), ingredients=ingredients)
    line.work.write(step.name, entry)
    cost = _measured(step, line)
    line.work.write(step.name, entry.model_copy(update={**cost, "done": True}))
    return StepReport(step=step.name, action="run", why=why, **cost)


def _measured(step: Step, line: Line) -> dict[str, Any]:
    """Do a step and return what it cost, by the names of the ledger and the report."""
    with measuring():
        started = time.perf_counter()
        step.make(line)
    return {
        "seconds": round(time.perf_counter() - started, 3),
        "peak_memory_bytes": peak_memory(),
    }


def _why_run(  # noqa: PLR0911 - one line per reason
    step: Step, line: Line, ingredients: Ingredients, *, force: bool, load: bool
) -> str | None:
    """Return why a step must be done, or None when what it made can be kept; then it is on the line.

    Args:
        step: the step.
        line: everything before the step is on it.
        ingredients: what the step would be made from now.
        force: it must be done in any case.
        load: take the reports of a kept step onto the line too (artifacts always are).
    """
    if force:
        return "forced"
    entry = line.work.entry(step.name)
    if entry is None:
        return "first time"
    ingredients = ingredients.trusting(entry.ingredients)
    if entry.key != ingredients.key(step.stage.name):
        return f"changed {entry.ingredients.differences(ingredients)}"
    if not step.folder and not entry.done:
        return "was interrupted"
    if step.folder and not step.place(line).exists():
        return "its folder is gone" if entry.done else "was interrupted"
    try:
        if step.folder or load:
            step.load(line)
    except QuantkitError as error:
        return f"cannot be used: {error}"
    return None
