"""The search behind `mode: auto`: from an FP32 artifact to the settings of the fastest artifact that keeps the target.

observe · list options (noise, cost) · sensitivity · search, each candidate verified on the selection questions ·
finalists, timed together. What was measured goes into a journal, so an interrupted search goes on where it was.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quantkit.allocation.journal import Journal
from quantkit.allocation.search import Asked, walk
from quantkit.allocation.slots import Slots
from quantkit.artifact import Artifact
from quantkit.artifact.measure import peak_memory, tool_versions
from quantkit.exam.exam import Exam, Sitting
from quantkit.files import digest_of
from quantkit.mixed_precision.asked import require_open, selection
from quantkit.mixed_precision.candidate import Trials
from quantkit.mixed_precision.finalists import elected, finalists
from quantkit.mixed_precision.options import Options, list_options
from quantkit.mixed_precision.priced import limits_of, slots_of
from quantkit.mixed_precision.sensitivity import as_records, damages_of
from quantkit.mixed_precision.workbench import Workbench, set_up
from quantkit.mixed_precision.written import as_settings
from quantkit.progress import Phase, phases
from quantkit.quantization.grids import Grid
from quantkit.quantization.treatments import Treated
from quantkit.recipe.settings import QuantizeSettings
from quantkit.records import GroupRecord, GroupSensitivity, OptionRecord, SearchReport
from quantkit.runtime.cpu import cpu_facts, resolve_target, validated_on
from quantkit.tasks.calibration_set import CalibrationSet

LEAST_SELECTED = 200
"""Selection questions below which a bound is warned about: rare losses are then likely to be in none of them."""
_LOG = logging.getLogger(__name__)
_TOOLS = ("quantkit", "onnx", "onnxruntime", "numpy", "scipy", "tokenizers")
# Of what is left of the budget when each begins.
_COST_SHARE, _SENSITIVITY_SHARE = 0.1, 0.4
# Shares of the time, as a small model takes it.
_PHASES = {"calibrate": 6, "prices": 14, "damages": 35, "candidates": 35, "finalists": 10}
_USUAL_CANDIDATES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The result: ordinary settings that make the artifact, how they were found, and what calibration saw."""

    settings: QuantizeSettings
    report: SearchReport
    treated: Treated


@dataclass(kw_only=True, slots=True)
class _Clock:
    """The budget, and what was spent on what."""

    budget: float
    started: float = field(default_factory=time.monotonic)
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds of the budget that are left; negative when it is overspent."""
        return self.budget - (time.monotonic() - self.started)

    def lap(self, part: str) -> None:
        """Note that everything since the last lap was this part."""
        self.parts[part] = time.monotonic() - self.started - sum(self.parts.values())


def find(
    artifact: Artifact,
    settings: QuantizeSettings,
    calibration_set: CalibrationSet,
    grids: tuple[Grid, ...],
    *,
    data_dir: Path | None = None,
) -> Chosen:
    """Search.

    Args:
        artifact: the FP32 artifact.
        settings: with mode auto.
        calibration_set: ranges, moments and sensitivity come from these questions.
        grids: of weights: the first of all, the others of groups that are better off with them.
        data_dir: looked into first for data.

    Raises:
        UsageError: the budget is too small for one pass, the solver is not installed, or the settings fix what is
            searched for.
        DatasetError: a set is too small, cannot be found, or the selection holds questions of the gate.
        QuantizationError: there is no layer to quantize.
        EvaluationError: an activation or a logit is NaN or infinite.
    """
    require_open(settings)
    with phases("auto", _PHASES) as phase:
        return _found(artifact, settings, calibration_set, grids, data_dir, phase)


def _found(
    artifact: Artifact,
    settings: QuantizeSettings,
    calibration_set: CalibrationSet,
    grids: tuple[Grid, ...],
    data_dir: Path | None,
    phase: Phase,
) -> Chosen:
    asked = settings.auto
    clock = _Clock(budget=asked.budget)
    judged = selection(settings, artifact.task, calibration_set, data_dir)
    if len(judged.questions) < LEAST_SELECTED:
        _LOG.warning(
            "%s: a bound from %d selection questions is a guess, whatever its confidence; give %d or more",
            judged.path,
            len(judged.questions),
            LEAST_SELECTED,
        )
    with phase("calibrate"):
        workbench = set_up(
            artifact,
            calibration_set,
            keep_float=tuple(entry.pattern for entry in settings.keep_float),
            grids=grids,
            per_channel=settings.per_channel,
            budget=clock.budget,
            layout=settings.layout_for(resolve_target(settings.target_isa, cpu_facts()).name),
        )
    limits = limits_of(workbench, asked.min_int8_coverage)
    journal = Journal(_key(workbench, settings, judged.digest))
    clock.lap("observe")
    with phase("prices", works=4):
        options = list_options(workbench, journal, seconds=_COST_SHARE * clock.left)
    clock.lap("options")
    reference = {group: found[0] for group, found in options.items()}
    damages, _ = damages_of(
        workbench,
        reference,
        calibration_set,
        journal,
        seconds=_SENSITIVITY_SHARE * clock.left,
        budget=asked.budget,
    )
    clock.lap("sensitivity")
    with phase("candidates", works=1 + _USUAL_CANDIDATES):
        exam = Exam(artifact, judged, Sitting(label="answer"), confidence=asked.confidence)
        slots = slots_of(workbench, options, damages, asked.min_int8_coverage)
        trials = Trials(workbench, options, exam, journal, asked)
        found = walk(
            slots,
            trials.verify,
            Asked(
                target=asked.target, slack=asked.slack, deadline=clock.started + clock.budget, limits=limits
            ),
        )
    clock.lap("search")
    best = found.best
    compared = finalists(trials.candidates, best)
    with phase("finalists", works=1 + len(compared)):
        if len(compared) > 1:
            trials.time_again({number: found.solutions[number] for number in compared})
            best = elected([trials.candidates[number] for number in compared], best, slack=asked.slack)
    clock.lap("finalists")
    chosen = found.solutions[best].chosen
    target = resolve_target(settings.target_isa, cpu_facts())
    report = SearchReport(
        artifact=artifact.digest,
        task=artifact.task,
        target=asked.target,
        confidence=asked.confidence,
        met=found.met,
        chosen=best,
        baseline_score=exam.baseline,
        selection=judged.name,
        selection_digest=judged.digest,
        selection_questions=len(judged.questions),
        calibration_digest=calibration_set.dataset.digest,
        calibration_questions=len(calibration_set.ids),
        groups=_group_records(as_records(workbench, reference, damages), options, slots, chosen),
        candidates=tuple(trials.candidates),
        seconds=clock.parts,
        peak_memory_mb=peak_memory() / 1e6,
        target_isa=settings.target_isa,
        validated_on=validated_on(target, cpu_facts()),
        tools=tool_versions(*_TOOLS),
        cpu=cpu_facts().as_json(),
    )
    return Chosen(
        settings=as_settings(
            # Static takes another number where none is said.
            settings.model_copy(update={"calib_questions": len(calibration_set.ids)}),
            workbench,
            report.groups,
            {group: options[group][index].choice for group, index in chosen.items()},
        ),
        report=report,
        treated=workbench.treated,
    )


def _group_records(
    sensitivities: Sequence[GroupSensitivity],
    options: Options,
    slots: Slots,
    chosen: Mapping[str, int],
) -> tuple[GroupRecord, ...]:
    return tuple(
        GroupRecord(
            group=found.group,
            sensitivity=found,
            options=tuple(
                OptionRecord(
                    label=option.choice.label,
                    damage=price.damage,
                    sqnr_db=option.noise.sqnr_db,
                    cost_us=option.cost_us,
                )
                for option, price in zip(options[found.group], slots[found.group], strict=True)
            ),
            chosen=options[found.group][chosen[found.group]].choice.label,
        )
        for found in sensitivities
    )


def _key(workbench: Workbench, settings: QuantizeSettings, selected: str) -> str:
    """Return the digest of all that decides what is measured; neither the target nor the budget does."""
    return digest_of(
        {
            "observations": workbench.treated.key,
            "selection": selected,
            "confidence": settings.auto.confidence,
            "keep_float": [entry.pattern for entry in settings.keep_float],
            "grid": [workbench.per_channel, *(grid.name for grid in workbench.grids)],
            "layout": workbench.layout,
            "tools": tool_versions(*_TOOLS),
            "cpu": cpu_facts().kernels_json(),
        }
    )
