"""sensitivity: FP32 artifact → how much each group of its layers suffers from INT8."""

import time
from pathlib import Path

from quantkit.allocation.journal import Journal
from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.errors import ArtifactError, UsageError
from quantkit.files import digest_of
from quantkit.mixed_precision.options import references
from quantkit.mixed_precision.sensitivity import as_records, damages_of
from quantkit.mixed_precision.workbench import set_up
from quantkit.one_blas_thread import one_blas_thread
from quantkit.progress import Phase, phases
from quantkit.quantization.grids import signed_grid
from quantkit.quantization.observe import forget
from quantkit.recipe.settings import SensitivitySettings
from quantkit.records import Sensitivity
from quantkit.runtime.cpu import NATIVE, cpu_facts, resolve_target
from quantkit.runtime.hold import hold
from quantkit.tasks.calibration_set import CalibrationSet, select

_PHASES = {"calibrate": 10, "noise": 10, "damages": 80}
_TOOLS = ("onnx", "onnxruntime", "numpy", "tokenizers")


def sensitivity(
    artifact: Artifact, *, settings: SensitivitySettings, data_dir: Path | None = None
) -> Sensitivity:
    """Quantize each group of layers alone, run it, and compare its answers with FP32's.

    Args:
        artifact: a fused FP32 artifact.
        settings: calibration, questions and budget.
        data_dir: looked into first for data.

    Raises:
        ArtifactError: the artifact is INT8 already.
        UsageError: no calibration set is named, or the budget is too small for one pass.
        DatasetError: the calibration set cannot be found, or is too small.
        EvaluationError: an activation or a logit is NaN or infinite.
    """
    if artifact.manifest.precision == "int8":
        raise ArtifactError(f"{artifact.path}: is INT8 already; give the FP32 artifact it was made from")
    if settings.calib is None:
        raise UsageError("--calib: is missing; give questions, such as --calib squad or a file")
    started = time.monotonic()
    calibration_set = select(settings.calib, artifact.task, settings.calib_questions, data_dir, settings.seed)
    with hold(artifact) as held, one_blas_thread(), phases("sensitivity", _PHASES) as phase:
        return _measured(held, settings, calibration_set, started, phase)


def _measured(
    artifact: Artifact,
    settings: SensitivitySettings,
    calibration_set: CalibrationSet,
    started: float,
    phase: Phase,
) -> Sensitivity:
    with phase("calibrate"):
        workbench = set_up(
            artifact,
            calibration_set,
            keep_float=(),
            grids=(signed_grid(saturates=resolve_target(NATIVE, cpu_facts()).saturates),),
            per_channel=True,
            budget=settings.budget,
            layout="onnxruntime",
        )
    tools, cpu = tool_versions(*_TOOLS), cpu_facts()
    journal = Journal(digest_of([workbench.treated.key, tools, cpu.kernels_json()]))
    with phase("noise"):
        reference = references(workbench, journal)
    damages, questions = damages_of(
        workbench,
        reference,
        calibration_set,
        journal,
        seconds=settings.budget - (time.monotonic() - started),
        budget=settings.budget,
        most_questions=settings.questions,
    )
    forget(workbench.treated.observations.key)
    return Sensitivity(
        artifact=artifact.digest,
        choice=reference[workbench.groups[0].name].choice.label,
        calibration=calibration_set.dataset.digest,
        questions=questions,
        groups=as_records(workbench, reference, damages),
        seconds=time.monotonic() - started,
        tools=tools,
        cpu=dict(cpu.as_json()),
    )
