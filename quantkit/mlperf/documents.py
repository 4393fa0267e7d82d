"""The texts of a submission: what was run, how it was calibrated, and how to run it again."""

from typing import Any

import quantkit
from quantkit.artifact import Artifact, StageRecord
from quantkit.artifact.measure import tool_versions
from quantkit.mlperf.finished import FinishedScenario
from quantkit.mlperf.settings import Entry

_TOOLS = ("onnxruntime", "mlcommons-loadgen", "tokenizers", "numpy")


def measurements(artifact: Artifact, retraining: str) -> dict[str, str]:
    """Return the content of measurements.json."""
    export = artifact.manifest.stage("export")
    checkpoint = str(export.facts.get("checkpoint", "")) if export else ""
    return {
        "input_data_types": "int64",
        "retraining": retraining,
        "starting_weights_filename": checkpoint or "model.onnx",
        "weight_data_types": artifact.manifest.precision,
        "weight_transformations": "; ".join(
            _transformation(record) for record in artifact.manifest.stages if record.stage != "evaluate"
        )
        or "none recorded",
    }


def _transformation(record: StageRecord) -> str:
    facts, settings = record.facts, record.settings
    if record.stage == "export":
        return f"exported to ONNX opset {settings.get('opset', '?')}"
    if record.stage == "fuse":
        return "fused " + _counts(facts.get("fused", {}))
    if record.stage == "quantize":
        return f"quantized ({settings.get('mode', '?')}): " + _counts(facts.get("schemes", {}))
    return record.stage


def _counts(found: Any) -> str:
    return ", ".join(f"{count} {name}" for name, count in found.items()) if found else "nothing"


def calibration_document(artifact: Artifact) -> str:
    """Return documentation/calibration.md, from what the artifact recorded when it was quantized."""
    record = artifact.manifest.stage("quantize")
    lines = ["# Calibration", ""]
    if record is None:
        return "\n".join([*lines, "The model is not quantized; nothing was calibrated.", ""])
    lines += [
        "Ranges of activations are those that the FP32 model showed on a calibration set; weights are quantized from "
        "their own values. All of it is in the artifact's manifest (`src/artifact/manifest.json`).",
        "",
        "| what | value |",
        "|---|---|",
    ]
    settings = {name: value for name, value in record.settings.items() if not isinstance(value, dict | list)}
    calibration = record.facts.get("calibration") or {}
    keeps = ", ".join(record.facts.get("kept_float", [])) or "none"
    rows = {
        **{f"calibration: {name}": value for name, value in calibration.items()},
        **{f"setting: {name}": value for name, value in settings.items()},
        "share of linear MACs in integer kernels": record.facts.get("int8_coverage", "unknown"),
        "layers kept in float": keeps,
    }
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join([*lines, ""])


def tree_document(
    artifact: Artifact,
    entry: Entry,
    benchmark: str,
    finished: tuple[FinishedScenario, ...],
    reasons: tuple[str, ...],
) -> str:
    """Return documentation/README.md."""
    tools = ", ".join(f"{name} {version}" for name, version in tool_versions(*_TOOLS).items())
    scenarios = ", ".join(runs.scenario for runs in finished)
    lines = [
        f"# {benchmark} on {entry.system}",
        "",
        *_warnings(reasons),
        f"{artifact.manifest.architecture}, {artifact.manifest.precision}, {artifact.model_bytes / 1e6:,.1f} MB, "
        f"on the CPU. Scenarios: {scenarios}.",
        "",
        f"* artifact: `{artifact.digest}` (manifest in `src/artifact/`)",
        f"* made and run with: {tools}",
        "* samples run at their true length: sorted, and cut into batches by a budget of tokens; nothing is padded "
        "beyond its batch, and shorter answers are scored as they are",
        "* each scenario's README.md says how to run it again",
        "",
    ]
    return "\n".join(lines)


def scenario_document(artifact: Artifact, runs: FinishedScenario, reasons: tuple[str, ...]) -> str:
    """Return a scenario's README.md: how to run it again."""
    lines = [
        f"# {runs.scenario}",
        "",
        *_warnings(reasons),
        f"Model: artifact `{artifact.digest}`. Python 3.11 or later; SQuAD v1.1 dev is found or downloaded.",
        "",
        "```",
        f'pip install "quantkit[mlperf]=={quantkit.__version__}"',
        runs.command,
        "```",
        "",
        "LoadGen runs in a process of its own for each mode. `user.conf` beside this file is what the performance run "
        "was given; the target in it follows from the speed of the accuracy run, unless the command names one.",
        "",
    ]
    return "\n".join(lines)


def _warnings(reasons: tuple[str, ...]) -> list[str]:
    return [f"**NOT SUBMITTABLE**: {'; '.join(reasons)}.", ""] if reasons else []
