"""quantize: fused artifact → INT8 artifact, with the kernels that really run read back.

Steps: search (auto) · assign choices to layers · observe calibration rows · settle · rewrite · lay out · save · load in
ONNX Runtime and run once. A layer that was to be quantized and is executed in float is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from quantkit.artifact import Artifact, new_artifact
from quantkit.artifact.artifact import CALIBRATION, require_apart
from quantkit.artifact.measure import measuring
from quantkit.files import require_free, write_json
from quantkit.graph.layout import lay_out
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import has_external_data, load_model, save_model
from quantkit.graph.shared_weights import share_again, sharing
from quantkit.mixed_precision import Chosen, find
from quantkit.one_blas_thread import one_blas_thread
from quantkit.progress import phases
from quantkit.quantization.grids import Grid
from quantkit.quantization.observe import Range, forget, observe_model
from quantkit.quantization.treatments import WHOLE_MODEL, Treated, treat
from quantkit.quantization.write import (
    apply,
    calibrate_scores,
    open_embed_layer_norm,
    quantize_scores,
    quantize_tables,
)
from quantkit.recipe.load import dump_section
from quantkit.recipe.settings import QuantizeSettings
from quantkit.report.search_files import search_files
from quantkit.runtime.cpu import cpu_facts, resolve_target
from quantkit.runtime.hold import hold
from quantkit.runtime.where import Where
from quantkit.stages.quantize.assignment import Assignment, assign, grid_for, other_grids
from quantkit.stages.quantize.facts import (
    expected,
    grid_facts,
    read_back,
    search_facts,
    source,
    treatment_facts,
)
from quantkit.stages.quantize.ingredients import ingredients
from quantkit.stages.quantize.usable import require_usable
from quantkit.tasks.calibration_set import CalibrationSet, select
from quantkit.tasks.data_places import DataPlaces

STAGE = "quantize"

# Seconds that each takes of a small model on two slow cores.
_PHASES = {"calibrate": 15, "round": 10, "write": 1, "read kernels": 2}


def quantize(
    artifact: Artifact,
    out: Path,
    *,
    settings: QuantizeSettings,
    data_dir: Path | None = None,
    force: bool = False,
) -> Artifact:
    """Quantize an FP32 artifact into a new artifact at `out`.

    The record's facts: `int8_coverage`, `kernels` (executed operator → count), `layers` (quantized and kept float),
    `channel_shift` (how many tensors are), `outlier_channels` and `split_channels` (layer → how many),
    `layout` (its name, and how often each pass matched), `expected` (operators that must still be executed),
    `reduce_range` as decided, and `calibration` (set, questions, tokens, method). The ranges themselves are the
    artifact's `calibration.json`.

    Args:
        artifact: a fused FP32 artifact (an unfused one is quantized too, and is slower).
        out: the new artifact's folder.
        settings: this stage's section of the recipe.
        data_dir: where calibration data is looked for first.
        force: replace what is at `out`.

    Raises:
        ArtifactError: the artifact is INT8 already, or cannot be read.
        UsageError: static without calibration data, or dynamic with it.
        RecipeError: a `keep_float` pattern matches nothing.
        DatasetError: the calibration set cannot be found, is empty, or is all padding.
        EvaluationError: an activation or a logit is NaN or infinite.
        QuantizationError: nothing is left to quantize, a weight is not finite, or a quantized layer is executed in
            float.
        OutputError: `out` cannot be written.
    """
    require_free(out, force=force)
    require_apart(out, artifact)
    require_usable(artifact, settings)
    with hold(artifact) as held, one_blas_thread():
        return _quantize(held, out, settings=settings, data_dir=data_dir, force=force)


def _quantize(
    artifact: Artifact, out: Path, *, settings: QuantizeSettings, data_dir: Path | None, force: bool
) -> Artifact:
    cpu = cpu_facts()
    target = resolve_target(settings.target_isa, cpu)
    grid = grid_for(settings, target)
    with measuring() as watch:
        calibration_set = _calibration_set(artifact, settings, data_dir)
        grids = (grid, *other_grids(settings, target))
        asked, chosen = settings, _searched(artifact, settings, calibration_set, grids, data_dir)
        settings = chosen.settings if chosen else asked
        model = load_model(artifact.model_path)
        opened = open_embed_layer_norm(model)
        assignment = assign(artifact, model, settings, grid)
        with new_artifact(out, force=force) as draft, phases("quantize", _PHASES) as phase:
            with phase("calibrate"):
                treated = (
                    chosen.treated
                    if chosen
                    else _observed(artifact, model, calibration_set, assignment, settings)
                )
            assignment = assignment.settled(model, treated.statistics)
            facts = grid_facts(grid, settings, target, cpu)
            facts |= treatment_facts(artifact, settings, assignment, treated)
            shared = sharing(linear_layers(model.graph))
            with phase("round"):
                rewritten = _rewrite(model, assignment, treated)
            if assignment.scores:
                facts["attention"] = {"qk": len(assignment.scores)}
            if calibration_set is not None and treated.observations.job is not None:
                facts["calibration"] = source(calibration_set, treated.observations.job, settings)
                ids = {"ids": list(calibration_set.ids)}
                write_json(draft.path / CALIBRATION, {**facts["calibration"], **ids, **rewritten.as_json()})
            layout = settings.layout_for(target.name)
            with phase("write"):
                facts["layout"] = {"name": layout, **lay_out(model, layout)}
                share_again(model.graph, shared)
                save_model(model, draft.model_path, external=has_external_data(artifact.model_path))
            with phase("read kernels"):
                facts |= read_back(artifact, draft.model_path, assignment)
            facts["expected"] = expected(artifact, opened, facts)
            if chosen:
                facts["search"] = search_facts(asked, chosen)
            draft.take_companions(artifact.path)
            record = watch.record(
                STAGE,
                ingredients=ingredients(artifact, asked, DataPlaces(data_dir=data_dir)),
                settings=settings.as_json(),
                facts=facts,
                cpu=cpu.as_json(),
            )
            draft.record(
                task=artifact.task,
                architecture=artifact.manifest.architecture,
                precision="int8",
                stages=(*artifact.manifest.stages, record),
                parent=artifact.digest,
            )
    made = Artifact.open(out)
    if chosen:
        for name, content in search_files(chosen.report, recipe=dump_section(settings)).items():
            made.write_report(name, content)
        forget(chosen.treated.observations.key)
    return made


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rewritten:
    """The ranges in the new graph: layer name → of its input, and of queries and keys where they are quantized."""

    ranges: Mapping[str, Range]
    scores: Mapping[str, Range]

    def as_json(self) -> dict[str, Any]:
        """Return them as calibration.json has them."""
        found = {"ranges": {name: bounds.as_json() for name, bounds in self.ranges.items()}}
        if self.scores:
            found["attention"] = {name: bounds.as_json() for name, bounds in self.scores.items()}
        return found


def _calibration_set(
    artifact: Artifact, settings: QuantizeSettings, data_dir: Path | None
) -> CalibrationSet | None:
    if settings.calib is None:
        return None
    return select(
        settings.calib,
        artifact.task,
        settings.calib_questions,
        data_dir,
        settings.seed,
        at_most=settings.at_most,
    )


def _searched(
    artifact: Artifact,
    settings: QuantizeSettings,
    calibration_set: CalibrationSet | None,
    grids: tuple[Grid, ...],
    data_dir: Path | None,
) -> Chosen | None:
    """Return what a search chose; None where none was asked for."""
    if settings.mode != "auto":
        return None
    assert calibration_set is not None
    return find(artifact, settings, calibration_set, grids, data_dir=data_dir)


def _observed(
    artifact: Artifact,
    model: ir.Model,
    calibration_set: CalibrationSet | None,
    assignment: Assignment,
    settings: QuantizeSettings,
) -> Treated:
    """Return what calibration sees, and what is done to the whole model."""
    if calibration_set is None:
        return Treated()
    observations = observe_model(
        artifact,
        model,
        calibration_set,
        detail=max(choice.detail for choice in assignment.layers.values()),
        where=Where.of(settings),
    )
    return treat(model, observations, [kind for kind in WHOLE_MODEL if getattr(settings, kind.setting)])


def _rewrite(model: ir.Model, assignment: Assignment, treated: Treated) -> _Rewritten:
    """Write the assignment into the graph: layers, queries and keys, tables."""
    scores = calibrate_scores(model, assignment.scores, treated.observations)
    ranges = apply(model, assignment.layers, treated)
    quantize_scores(model, assignment.scores, scores)
    quantize_tables(model, assignment.tables)
    return _Rewritten(
        ranges=ranges, scores={entry.layer: scores[entry.tensor] for entry in assignment.scores}
    )
