"""fuse: FP32 artifact → fused artifact, under a contract derived from its config."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from quantkit.architectures import expected_fusions
from quantkit.artifact import Artifact, new_artifact
from quantkit.artifact.artifact import require_apart
from quantkit.artifact.ingredients import Ingredients
from quantkit.artifact.measure import measuring, tool_versions
from quantkit.errors import ArtifactError, UsageError
from quantkit.files import require_free
from quantkit.graph import CONTRIB
from quantkit.graph.fusion import PassResult
from quantkit.graph.fusion.contract import check_contract, fuse_graph, fused_counts
from quantkit.graph.fusion.embed_layer_norm import EmbedLayerNormalization
from quantkit.graph.fusion.parity import check_parity
from quantkit.graph.model import has_external_data, load_model, save_model
from quantkit.graph.parity import TokenRanges
from quantkit.progress import phases
from quantkit.recipe.marks import in_key
from quantkit.recipe.settings import FuseSettings
from quantkit.runtime.hold import hold
from quantkit.tasks import task
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.lengths import lengths_in_key

STAGE = "fuse"
_TOOLS = ("onnx", "onnx-ir", "onnxruntime", "numpy")
# Seconds that each takes of a small model on two slow cores.
_PHASES = {"read the graph": 1, "fuse": 3, "write": 1, "compare": 2}


def ingredients(artifact: Artifact, settings: FuseSettings, data: DataPlaces) -> Ingredients:
    """Return all that decides what `fuse` makes: the exported artifact, settings, tools."""
    del data
    return Ingredients(
        inputs={"artifact": artifact.digest},
        settings={**in_key(settings), **lengths_in_key(artifact)},
        tools=tool_versions(*_TOOLS),
    )


def fuse(artifact: Artifact, out: Path, *, settings: FuseSettings, force: bool = False) -> Artifact:
    """Fuse the graph of an exported artifact into a new artifact at `out`.

    The record's facts: `fused` and `expected` (operator → count), `missed` (anchors that did not match, one
    line each), `warnings` (breaches of the contract that `allow_partial` accepted) and `parity`.

    Args:
        artifact: what export made.
        out: the new artifact's folder.
        settings: this stage's section of the recipe.
        force: replace what is at `out`.

    Raises:
        UsageError: the settings switch fusion off.
        ArtifactError: the artifact is fused or quantized already, or cannot be read.
        FusionError: the contract is not met, or the fused graph computes something else.
        OutputError: `out` cannot be written.
    """
    if not settings.enabled:
        raise UsageError("fuse: enabled is false, so there is nothing to do; leave the stage out")
    require_free(out, force=force)
    require_apart(out, artifact)
    _require_unfused(artifact)
    with hold(artifact) as held:
        return _fuse(held, out, settings=settings, force=force)


def _fuse(artifact: Artifact, out: Path, *, settings: FuseSettings, force: bool) -> Artifact:
    with measuring() as watch, phases("fuse", _PHASES) as phase:
        expected = _expected(artifact, settings)
        ranges = TokenRanges.from_config(artifact.config)
        with phase("read the graph"):
            model = load_model(artifact.model_path)
            _require_plain(artifact, model)
        with phase("fuse"):
            results = fuse_graph(model, embed_layer_norm=settings.embed_layer_norm)
            warnings = check_contract(results, expected, allow_partial=settings.allow_partial)
        with new_artifact(out, force=force) as draft:
            with phase("write"):
                save_model(model, draft.model_path, external=has_external_data(artifact.model_path))
            facts = _facts(results, expected, warnings)
            with phase("compare"):
                facts["parity"] = check_parity(
                    artifact.model_path, draft.model_path, ranges, per_token=task(artifact.task).per_token
                )
            draft.take_companions(artifact.path)
            record = watch.record(
                STAGE,
                ingredients=ingredients(artifact, settings, DataPlaces()),
                settings=settings.as_json(),
                facts=facts,
            )
            draft.record(
                task=artifact.task,
                architecture=artifact.manifest.architecture,
                precision="fp32",
                stages=(*artifact.manifest.stages, record),
                parent=artifact.digest,
            )
    return Artifact.open(out)


def _require_unfused(artifact: Artifact) -> None:
    for stage, done in (("quantize", "quantized"), (STAGE, "fused")):
        if artifact.manifest.stage(stage) is not None:
            raise ArtifactError(f"{artifact.path}: is {done} already; give the artifact that export made")


def _require_plain(artifact: Artifact, model: ir.Model) -> None:
    names = sorted({node.op_type for node in model.graph if node.domain == CONTRIB})
    if names:
        raise ArtifactError(
            f"{artifact.model_path}: is fused already (it holds {', '.join(names)}); give a plain ONNX export"
        )


def _expected(artifact: Artifact, settings: FuseSettings) -> dict[str, int]:
    expected = expected_fusions(artifact.config, task(artifact.task).head, str(artifact.path / "config.json"))
    if not settings.embed_layer_norm:
        expected[EmbedLayerNormalization.name] = 0
    return expected


def _facts(
    results: Sequence[PassResult], expected: Mapping[str, int], warnings: Sequence[str]
) -> dict[str, Any]:
    return {
        "fused": {**dict.fromkeys(expected, 0), **fused_counts(results)},
        "expected": dict(expected),
        "missed": [f"{result.name}: {miss}" for result in results for miss in result.missed],
        "warnings": list(warnings),
    }
