"""The comparison of token ids as a step of export and of import: what it mends, warns of, and leaves on the record.

Nothing here imports torch or transformers until they are asked for, and import does without them.
"""

import importlib.util
import logging
from pathlib import Path
from typing import Any

from quantkit.files import write_text
from quantkit.tasks.tokenizer import require_rows

_LOG = logging.getLogger(__name__)
_NEEDED = ("torch", "transformers")


def read_as_transformers_do(
    folder: Path, into: Path, *, name: str, vocab_size: int, token_types: bool
) -> dict[str, Any]:
    """Compare token ids with those of transformers and return the facts of the record.

    Where the files contradict each other `into` gets a tokenizer.json that reads texts as transformers does.

    Args:
        folder: with config.json and the tokenizer's files.
        into: the artifact's folder.
        name: of the checkpoint, for the warning.
        vocab_size: rows of the word embedding.
        token_types: the model tells first and second texts apart.

    Raises:
        CheckpointError: transformers cannot read the tokenizer, reads some text otherwise, or gives an id that has no
            row.
    """
    from quantkit.checkpoint.ids import TOKENIZER_JSON, compare_ids

    ids = compare_ids(folder, token_types=token_types)
    require_rows(folder, ids.tokens, vocab_size)
    if ids.written is not None:
        _LOG.warning(
            "%s: its tokenizer files contradict each other; the artifact has a %s that reads texts as the %s of "
            "transformers does",
            name,
            TOKENIZER_JSON,
            ids.tokenizer,
        )
        write_text(into / TOKENIZER_JSON, ids.written)
    return ids.as_json()


def not_compared() -> dict[str, Any] | None:
    """Return what a record says where ids cannot be compared; None where they can."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    return {"compared": False, "why": f"{' and '.join(missing)} not installed"} if missing else None
