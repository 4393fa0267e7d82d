"""How many tokens a row may have: the rows of a model's position table, less those that no token can reach."""

from collections.abc import Mapping
from typing import Any

_FROM_PADDING = ("camembert", "mpnet")


def longest_row(config: Mapping[str, Any], pad_id: int) -> int | None:
    """Return how many tokens a row may have; None where config.json says no number.

    RoBERTa and the families that took its positions count from the padding id + 1, so a table of 514 holds rows of
    512. DeciBERT says where it begins. Other families use the whole table, or rotate by any position.

    Args:
        config: the checkpoint's config.json.
        pad_id: the id of the padding token.
    """
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int):
        return None
    family = str(config.get("model_type"))
    if "roberta" in family or family in _FROM_PADDING:
        return positions - pad_id - 1
    offset = config.get("position_offset") or 0
    return positions - offset if isinstance(offset, int) else positions
