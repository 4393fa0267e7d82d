"""Artifacts: folders with a model, its tokenizer and config, and a manifest that says what each byte is."""

from quantkit.artifact.artifact import Artifact, new_artifact
from quantkit.artifact.ingredients import Ingredients
from quantkit.artifact.manifest import Manifest, StageRecord

__all__ = ["Artifact", "Ingredients", "Manifest", "StageRecord", "new_artifact"]
