"""What makes artifacts: from a checkpoint, from another tool's folder, from an artifact."""

from pathlib import Path
from typing import Unpack

from quantkit.api.keywords import ExportKeywords, ImportKeywords, QuantizeKeywords
from quantkit.api.settings import build
from quantkit.artifact import Artifact
from quantkit.errors import UsageError
from quantkit.pipeline.fusing import ExportRequest, export_and_fuse
from quantkit.recipe.import_settings import ImportSettings
from quantkit.recipe.load import load_section
from quantkit.recipe.places import checkpoint_named
from quantkit.recipe.settings import ExportSettings, FuseSettings, QuantizeSettings
from quantkit.records import SearchReport
from quantkit.report.search_files import REPORT
from quantkit.stages.importing import import_folder
from quantkit.stages.quantize import quantize as quantize_stage

Place = str | Path
"""A folder or file."""


def opened(artifact: Artifact | Place) -> Artifact:
    """Return an artifact that is opened: a folder's bytes are checked against its manifest.

    Raises:
        ArtifactError: it is no artifact, or a byte is not what the manifest says.
    """
    return artifact if isinstance(artifact, Artifact) else Artifact.open(artifact)


def export(
    checkpoint: Place,
    output: Place,
    *,
    task: str = "squad",
    force: bool = False,
    **settings: Unpack[ExportKeywords],
) -> Artifact:
    """Export a checkpoint to a fused FP32 artifact; needs torch and transformers.

    Args:
        checkpoint: a folder, a Hugging Face id, or `quickstart`, the small model that ships with quantkit.
        output: the artifact's folder.
        task: what the model does, such as `squad` or `text-classification`.
        force: replace an artifact that is there.
        **settings: of `quantkit export` (`ExportSettings`, and `embed_layer_norm`, `allow_partial`, and `enabled` of
            `FuseSettings`).

    Raises:
        UsageError: a keyword does not exist or fit, or there is no such task.
        CheckpointError: it is not a checkpoint for the task, or the tokenizer is not the model's.
        ExportError: the graph computes something else than PyTorch.
        FusionError: an operator that must be fused was not.
        OutputError: the folder is there, or cannot be written.
    """
    fusing = {name: value for name, value in settings.items() if name in FuseSettings.model_fields}
    exporting = {name: value for name, value in settings.items() if name not in fusing}
    request = ExportRequest(
        checkpoint=checkpoint_named(str(checkpoint)),
        task=task,
        export=build(ExportSettings, exporting, function="export"),
        fuse=build(FuseSettings, fusing, function="export"),
    )
    return export_and_fuse(request, Path(output), force=force)


def import_(
    folder: Place,
    output: Place,
    *,
    task: str = "squad",
    force: bool = False,
    **settings: Unpack[ImportKeywords],
) -> Artifact:
    """Make an artifact of what optimum, Olive, onnxruntime or NNCF left in a folder; its model's bytes stay.

    Args:
        folder: an ONNX file under any name, with config and tokenizer beside it or in the folder above.
        output: the artifact's folder.
        task: what the model does.
        force: replace an artifact that is there.
        **settings: of `quantkit import` (`ImportSettings`).

    Raises:
        UsageError: a keyword does not exist or fit.
        CheckpointError: config or tokenizer is missing, or not the model's.
        ArtifactError: the model cannot be opened.
        OutputError: the folder is there, or cannot be written.
    """
    made = build(ImportSettings, settings, function="import_")
    return import_folder(Path(folder), Path(output), task=task, settings=made, force=force)


def quantize(
    artifact: Artifact | Place,
    output: Place,
    *,
    config: Place | None = None,
    data_dir: Place | None = None,
    force: bool = False,
    **settings: Unpack[QuantizeKeywords],
) -> Artifact:
    """Quantize a fused artifact to INT8.

    With `mode="auto"` a target that was missed is no error: `search_report(artifact).met` tells.

    Args:
        artifact: the fused FP32 artifact.
        output: the folder of the INT8 one.
        config: a YAML file with settings, such as the `search.yaml` that a search leaves; keywords win over it.
        data_dir: looked into first for datasets.
        force: replace an artifact that is there.
        **settings: of `quantkit quantize` (`QuantizeSettings`): `mode`, `calib`, `weight_type`, …; those of the search
            are one mapping, `auto={"target": 0.999}`.

    Raises:
        UsageError: a keyword does not exist or fit, or one is for another mode.
        RecipeError: the file of settings does not fit.
        DatasetError: calibration questions cannot be found or read.
        QuantizationError: a layer cannot be what was asked for, or runs in another kernel.
        OutputError: the folder is there, or cannot be written.
    """
    under = {} if config is None else load_section(Path(config), "quantize", QuantizeSettings)
    return quantize_stage(
        opened(artifact),
        Path(output),
        settings=build(QuantizeSettings, {**under, **settings}, function="quantize"),
        data_dir=None if data_dir is None else Path(data_dir),
        force=force,
    )


def search_report(artifact: Artifact | Place) -> SearchReport:
    """Return what the search of `mode="auto"` found: options, candidates, and whether the target was met.

    Raises:
        UsageError: the artifact was made without a search.
    """
    found = opened(artifact)
    path = found.report_path(REPORT)
    if not path.is_file():
        raise UsageError(f"{found.path}: was made without a search; quantize with mode='auto'")
    return SearchReport.read(path)
