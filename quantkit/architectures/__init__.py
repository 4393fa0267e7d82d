"""The model families: what config.json says of their layers, inputs and expected fusions. No torch here."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, cast

from quantkit.architectures.architecture import Architecture, Config, EncoderShape, LayerShape
from quantkit.errors import CheckpointError

ARCHITECTURES = {
    "albert": "quantkit.architectures.albert",
    "bert": "quantkit.architectures.bert",
    "camembert": "quantkit.architectures.camembert",
    "deberta-v2": "quantkit.architectures.deberta_v2",
    "decibert": "quantkit.architectures.decibert",
    "distilbert": "quantkit.architectures.distilbert",
    "electra": "quantkit.architectures.electra",
    "mobilebert": "quantkit.architectures.mobilebert",
    "modernbert": "quantkit.architectures.modernbert",
    "mpnet": "quantkit.architectures.mpnet",
    "nomic_bert": "quantkit.architectures.nomic_bert",
    "roberta": "quantkit.architectures.roberta",
    "xlm-roberta": "quantkit.architectures.xlm_roberta",
}
"""model_type of config.json -> the module whose `ARCHITECTURE` it is: a family is one module and one line."""

# Nearer than any two families of transformers are to each other (ibert is no misspelt bert, xlm-roberta-xl no
# xlm-roberta).
_MISSPELT = 0.9

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Config",
    "EncoderShape",
    "LayerShape",
    "architecture",
    "expected_fusions",
]


def architecture(config: Mapping[str, Any], where: str = "config.json") -> Architecture:
    """Return the model family of a `config.json`.

    Args:
        config: the JSON object.
        where: the file, for error messages.

    Raises:
        CheckpointError: it names no `model_type`, or one that is not supported, or a variant that is not.
    """
    name = config.get("model_type")
    if not isinstance(name, str):
        raise CheckpointError(f"{where}: names no model_type; give one of {', '.join(ARCHITECTURES)}")
    if name not in ARCHITECTURES:
        near = difflib.get_close_matches(name, ARCHITECTURES, n=1, cutoff=_MISSPELT)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(ARCHITECTURES)
        raise CheckpointError(f"{where}: architecture {name!r} is not supported{hint}; supported are {known}")
    _refuse_variants(config, where)
    return cast(Architecture, importlib.import_module(ARCHITECTURES[name]).ARCHITECTURE)


def expected_fusions(config: Mapping[str, Any], head: str, where: str = "config.json") -> dict[str, int]:
    """Return how often each fused operator must be in the graph after fusing: op type -> count.

    Args:
        config: the JSON object.
        head: of the checkpoint (`Architecture.heads`).
        where: the file, for error messages.

    Raises:
        CheckpointError: the architecture is not supported, or config.json lacks a number.
    """
    return architecture(config, where).expected_fusions(Config(values=config, where=where), head)


def _refuse_variants(config: Mapping[str, Any], where: str) -> None:
    """Refuse what current transformers would load without an error and compute differently."""
    positions = config.get("position_embedding_type", "absolute")
    if positions not in (None, "absolute"):
        raise CheckpointError(f"{where}: {positions!r} position embeddings are not supported, only absolute")
    for key in ("is_decoder", "add_cross_attention", "is_encoder_decoder"):
        if config.get(key):
            raise CheckpointError(f"{where}: {key} is set, but only encoders are supported; give an encoder")
    if config.get("pruned_heads"):
        raise CheckpointError(f"{where}: pruned_heads is not supported; give a checkpoint with all its heads")
