"""Artifacts: folders with a model, its tokenizer and config, and a manifest that says what each byte is.

`artifact` opens them with every byte checked and makes them whole or not at all, `manifest` is the file format
(docs/artifact.md), and `measure` takes a stage's time and memory for its record.
"""

from quantkit.artifact.artifact import Artifact, Draft, new_artifact, require_apart
from quantkit.artifact.ingredients import Ingredients
from quantkit.artifact.manifest import FileRecord, Manifest, StageRecord
from quantkit.artifact.measure import Stopwatch, measuring, tool_versions

__all__ = [
    "Artifact",
    "Draft",
    "FileRecord",
    "Ingredients",
    "Manifest",
    "StageRecord",
    "Stopwatch",
    "measuring",
    "new_artifact",
    "require_apart",
    "tool_versions",
]
