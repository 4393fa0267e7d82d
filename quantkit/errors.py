"""Every error a user can cause, and its exit code.

    QuantkitError                 exit 2: the user's mistake; one line: what, where, what to do
    ├── UsageError                an option or argument that cannot be used
    ├── RecipeError               a recipe that does not say what to do
    ├── CheckpointError           a checkpoint that cannot be read or is not supported
    ├── DatasetError              a dataset or calibration set that cannot be read or used
    ├── ArtifactError             an artifact whose bytes, paths or contents are not what its manifest says
    ├── ExportError               an ONNX graph that does not compute what the checkpoint computes
    ├── FusionError               a fusion contract that is not met
    ├── QuantizationError         a graph that cannot be quantized as asked, or was not
    ├── EvaluationError           predictions that cannot be scored (NaN logits, lost questions)
    ├── TrainingError             a training that went wrong (NaN loss)
    ├── OutputError               an output that cannot be written (not empty, disk full, no permission)
    │   └── ArtifactReplaced      a report whose artifact is another one by now
    └── RegistryError             a registry that refuses, or does not have what was asked for
        └── PublishRefused        exit 3: no passing gate report for exactly these bytes

A failed or inconclusive gate is a value (`quantkit.records.gate.GateReport`), not an exception.
"""

PASSED = 0
CRASHED = 1
MISTAKE = 2
FAILED = 3
INCONCLUSIVE = 4

# What is printed, with exit code 2, when Ctrl-C or SIGTERM ends a command.
INTERRUPTED = "interrupted; nothing was left half-written"


class QuantkitError(Exception):
    """A mistake the user can mend. `str(error)` is the one line that is printed."""

    exit_code: int = MISTAKE


class UsageError(QuantkitError):
    """An option or argument that cannot be used."""


class RecipeError(QuantkitError):
    """A recipe that does not say what to do."""


class CheckpointError(QuantkitError):
    """A checkpoint that cannot be read or is not supported."""


class DatasetError(QuantkitError):
    """A dataset or calibration set that cannot be read or used."""


class ArtifactError(QuantkitError):
    """An artifact whose bytes, paths or contents are not what its manifest says."""


class ExportError(QuantkitError):
    """An ONNX graph that does not compute what the checkpoint computes."""


class FusionError(QuantkitError):
    """A fusion contract that is not met."""


class QuantizationError(QuantkitError):
    """A graph that cannot be quantized as asked, or was not."""


class EvaluationError(QuantkitError):
    """Predictions that cannot be scored."""


class TrainingError(QuantkitError):
    """A training that went wrong; the best weights before are kept."""


class OutputError(QuantkitError):
    """An output that cannot be written."""


class ArtifactReplaced(OutputError):
    """A report whose artifact is another one by now."""


class RegistryError(QuantkitError):
    """A registry that refuses, or does not have what was asked for."""


class PublishRefused(RegistryError):
    """There is no passing gate report for exactly these bytes."""

    exit_code = FAILED
