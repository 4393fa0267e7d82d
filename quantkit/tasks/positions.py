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


def sure_row(positions: int, pad_id: int | None) -> int:
    """Return a number of tokens that a row of any family may have: positions behind the padding id, if there are any.

    A padding id behind all positions (ModernBERT's is 50,283) is of no family that counts from it.
    """
    behind = positions - (pad_id or 0) - 1
    return behind if behind >= 1 else max(1, positions)
