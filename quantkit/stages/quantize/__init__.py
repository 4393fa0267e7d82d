"""quantize: fused artifact → INT8 artifact, with the kernels that really run read back.

Steps: search (auto) · plan each layer and table · observe calibration rows · rewrite · lay out · save · load in ONNX
Runtime and run once. A layer that was to be quantized and is executed in float is an error.
"""

from pathlib import Path
from typing import Any

import onnx_ir as ir

from quantkit.artifact import Artifact, StageRecord, new_artifact
from quantkit.artifact.artifact import CALIBRATION, require_apart
from quantkit.artifact.measure import measuring
from quantkit.files import require_free, write_json
from quantkit.graph.layout import lay_out
from quantkit.graph.model import has_external_data, load_model, save_model
from quantkit.mixed_precision import Chosen, find
from quantkit.quantization.observe.evidence import Evidence, collect
from quantkit.quantization.write.apply import Grid, apply
from quantkit.quantization.write.attention import calibrate_scores, quantize_scores, score_inputs
from quantkit.quantization.write.embeddings import open_embed_layer_norm, quantize_tables
from quantkit.recipe.load import dump_section
from quantkit.recipe.settings import QuantizeSettings
from quantkit.report.search_files import search_files
from quantkit.runtime.cpu import cpu_facts, resolve_target, validated_here
from quantkit.runtime.where import Where
from quantkit.stages.quantize.facts import (
    expected,
    read_back,
    search_facts,
    source,
    technique_facts,
)
from quantkit.stages.quantize.ingredients import ingredients
from quantkit.stages.quantize.plan import Plan, make_plan, require_usable, weight_type
from quantkit.tasks.calibration_set import CalibrationSet, select
from quantkit.tasks.data_places import DataPlaces

STAGE = "quantize"


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
    cpu = cpu_facts()
    target = resolve_target(settings.target_isa, cpu)
    grid = Grid(per_channel=settings.per_channel, weight_type=weight_type(settings, target))
    with measuring() as watch:
        calibration_set = _calibration_set(artifact, settings, data_dir)
        chosen: Chosen | None = None
        asked = settings
        if settings.mode == "auto":
            assert calibration_set is not None
            chosen = find(artifact, settings, calibration_set, grid, data_dir=data_dir)
            settings = chosen.settings
        model = load_model(artifact.model_path)
        opened = open_embed_layer_norm(model)
        plan = make_plan(artifact, model, settings)
        scores = score_inputs(model) if settings.attention == "qk" else []
        facts: dict[str, Any] = {
            "reduce_range": grid.weight_type == "int7",
            "weight_type": grid.weight_type,
            "target_isa": settings.target_isa,
            "validated_on": [target.name] if validated_here(target, cpu) else [],
        }
        with new_artifact(out, force=force) as draft:
            evidence = _evidence(artifact, model, calibration_set, plan, settings, chosen)
            plan = plan.settled(model, evidence)
            facts |= technique_facts(artifact, settings, plan, evidence)
            score_ranges = calibrate_scores(model, scores, evidence)
            ranges = apply(model, plan.assignment, evidence, grid)
            if scores:
                facts["attention"] = {"qk": quantize_scores(model, scores, score_ranges)}
            if calibration_set is not None:
                facts["calibration"] = source(calibration_set, evidence, settings)
                content = {name: found.as_json() for name, found in ranges.items()}
                calibration = {**facts["calibration"], "ids": list(calibration_set.ids), "ranges": content}
                if scores:
                    calibration["attention"] = {
                        entry.layer: score_ranges[entry.tensor].as_json() for entry in scores
                    }
                write_json(draft.path / CALIBRATION, calibration)
            quantize_tables(model, plan.tables)
            facts["layout"] = {"name": settings.chosen_layout, **lay_out(model, settings.chosen_layout)}
            save_model(model, draft.model_path, external=has_external_data(artifact.model_path))
            facts |= read_back(artifact, draft.model_path, plan)
            facts["expected"] = expected(artifact, opened, facts)
            if chosen is not None:
                facts["search"] = search_facts(asked, chosen)
            draft.take_companions(artifact.path)
            record = watch.record(
                STAGE,
                ingredients=ingredients(artifact, asked, DataPlaces(data_dir=data_dir)),
                settings=settings.as_json(),
                facts=facts,
                cpu=cpu.as_json(),
            )
            stages: tuple[StageRecord, ...] = (*artifact.manifest.stages, record)
            draft.record(
                task=artifact.task,
                architecture=artifact.manifest.architecture,
                precision="int8",
                stages=stages,
                parent=artifact.digest,
            )
    made = Artifact.open(out)
    if chosen is not None:
        for name, content in search_files(chosen.report, recipe=dump_section(settings)).items():
            made.write_report(name, content)
    return made


def _calibration_set(
    artifact: Artifact, settings: QuantizeSettings, data_dir: Path | None
) -> CalibrationSet | None:
    if settings.calib is None:
        return None
    return select(settings.calib, artifact.task, settings.calib_samples, data_dir, settings.seed)


def _evidence(
    artifact: Artifact,
    model: ir.Model,
    calibration_set: CalibrationSet | None,
    plan: Plan,
    settings: QuantizeSettings,
    chosen: Chosen | None,
) -> Evidence:
    """Return what calibration saw: in the search, or now."""
    if chosen is not None:
        return chosen.evidence
    if calibration_set is None:
        return Evidence(statistics={})
    detail = max(choice.detail for choice in plan.assignment.values())
    return collect(
        artifact,
        model,
        calibration_set,
        detail=detail,
        shift=settings.channel_shift,
        where=Where.of(settings),
    )
