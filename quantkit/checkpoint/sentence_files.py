"""The folder of sentence-transformers: how its modules make one embedding of a text. No torch here.

    modules.json                  the modules in order: Transformer, Pooling, perhaps Normalize
    sentence_bert_config.json     max_seq_length, do_lower_case
    1_Pooling/config.json         which tokens count

An encoder without these files is read too, when somebody says how its tokens are pooled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from quantkit.checkpoint.files import MODULES, PROMPTS, read_json
from quantkit.errors import CheckpointError
from quantkit.files import inside
from quantkit.strict_json import parse_json
from quantkit.tasks.tokenizer import Tokenizer
from quantkit.tasks.tokenizer_files import SENTENCE_SETTINGS

Mode = Literal["mean", "cls"]
MODES: tuple[Mode, ...] = ("mean", "cls")
_TRANSFORMER, _POOLING, _NORMALIZE = "Transformer", "Pooling", "Normalize"
# What older files call each way of pooling; since sentence-transformers 5.2 the file says "pooling_mode".
_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pooling:
    """How tokens become one embedding.

    Attributes:
        mode: the mean of the tokens that are no padding, or the first token.
        normalize: the embedding is scaled to length 1.
    """

    mode: Mode
    normalize: bool

    def as_json(self) -> dict[str, Any]:
        """Return the facts of a stage record."""
        return {"pooling": self.mode, "normalize": self.normalize}


def is_sentence_transformer(folder: Path) -> bool:
    """Tell whether sentence-transformers wrote the folder."""
    return (folder / MODULES).is_file()


def read_pooling(folder: Path, asked: str) -> Pooling:
    """Return how a checkpoint makes embeddings.

    Args:
        folder: the checkpoint's.
        asked: `mean` or `cls` for an encoder that does not say; `auto` for what the folder says.

    Raises:
        CheckpointError: a module or a way of pooling is not supported, the folder says nothing, or another way than the
            one that was asked for.
    """
    if not is_sentence_transformer(folder):
        if asked == "auto":
            raise CheckpointError(
                f"{folder}: has no {MODULES}, so nothing says how tokens become one embedding; "
                "say --pooling mean or --pooling cls"
            )
        return Pooling(mode=cast(Mode, asked), normalize=True)
    modules = _modules(folder)
    kinds = [kind for kind, _ in modules]
    foreign = [kind for kind in kinds if kind not in (_TRANSFORMER, _POOLING, _NORMALIZE)]
    where = folder / MODULES
    if foreign:
        raise CheckpointError(
            f"{where}: has a module {foreign[0]}, which is not supported; "
            "only Transformer, Pooling and Normalize are"
        )
    if kinds[:2] != [_TRANSFORMER, _POOLING] or kinds[2:] not in ([], [_NORMALIZE]):
        raise CheckpointError(
            f"{where}: lists {', '.join(kinds) or 'nothing'}; "
            "supported are Transformer, Pooling and, if anything, Normalize"
        )
    if modules[0][1]:
        raise CheckpointError(
            f"{where}: keeps the encoder in {modules[0][1]}; "
            f"export {folder / modules[0][1]} with --pooling mean or --pooling cls"
        )
    mode = _mode(folder, modules[1][1])
    if asked not in ("auto", mode):
        raise CheckpointError(f"{where}: the model pools by {mode}, not by {asked}; leave --pooling out")
    return Pooling(mode=mode, normalize=_NORMALIZE in kinds)


def require_plain_texts(folder: Path, tokenizer: Tokenizer) -> None:
    """Refuse a model whose texts are changed before they are read, and a longest text that is none.

    Raises:
        CheckpointError: it is.
    """
    path = folder / SENTENCE_SETTINGS
    settings = read_json(path) if path.is_file() else {}
    said = settings.get("max_seq_length")
    if said is not None and (isinstance(said, bool) or not isinstance(said, int) or said < 1):
        raise CheckpointError(f"{path}: max_seq_length is {said!r}; it must be a whole number of 1 or more")
    if settings.get("do_lower_case"):
        small, large = tokenizer.encode_ids(["a big word", "A BIG WORD"])
        if small.tolist() != large.tolist():
            raise CheckpointError(
                f"{path}: do_lower_case is set and the tokenizer keeps capitals, which is not supported; "
                "set do_lower_case in tokenizer_config.json"
            )
    path = folder / PROMPTS
    prompt = read_json(path).get("default_prompt_name") if path.is_file() else None
    if prompt is not None:
        raise CheckpointError(
            f"{path}: puts the prompt {prompt!r} before every text, which is not supported; "
            "set default_prompt_name to null and give texts with their prompt"
        )


def _modules(folder: Path) -> list[tuple[str, str]]:
    """Return (class, path below the folder) of each module, in order."""
    where = folder / MODULES
    try:
        content = parse_json(where.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{where}: cannot be read: {error.strerror}; check its permissions") from None
    except ValueError as error:
        raise CheckpointError(f"{where}: is not JSON ({error}); copy the file again") from None
    if not isinstance(content, list):
        raise CheckpointError(f"{where}: is not a list of modules; copy the file again")
    found = []
    for entry in content:
        kind, path = (entry.get("type"), entry.get("path", "")) if isinstance(entry, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(path, str):
            raise CheckpointError(f"{where}: has a module without type and path; copy the file again")
        # The module's package moved between versions; its class did not.
        found.append((kind.rpartition(".")[2], path))
    return found


def _mode(folder: Path, path: str) -> Mode:
    config = read_json(inside(folder, f"{path}/config.json"))
    where = folder / path / "config.json"
    modes = _said_modes(config)
    if len(modes) != 1 or modes[0] not in MODES:
        said = " and ".join(modes) or "nothing"
        raise CheckpointError(f"{where}: pools by {said}, which is not supported; mean or cls alone is")
    return cast(Mode, modes[0])


def _said_modes(config: Mapping[str, Any]) -> list[Any]:
    said = config.get("pooling_mode")
    if said is not None:
        return [said] if isinstance(said, str) else [str(mode) for mode in said]
    return [mode for key, mode in _KEYS.items() if config.get(key)]
