"""From the files of a checkpoint folder to a `tokenizers` tokenizer and the facts beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from quantkit import strict_json
from quantkit.errors import CheckpointError
from quantkit.tasks.tokenizer_errors import tokenizer_errors
from quantkit.tasks.tokenizer_types import added_tokens, require_types

_WORDPIECE_NAMES = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}
_BYTE_LEVEL_NAMES = {
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}

SENTENCE_SETTINGS = "sentence_bert_config.json"
"""Where sentence-transformers says how long texts may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerFiles:
    """What a folder says about its tokenizer.

    Attributes:
        tokenizer: as read or built; it may have no post-processor.
        special: ids of the special tokens by role (`cls_token`, `sep_token`, `pad_token`), as far as it has
            them.
        config: config.json, empty when there is none.
        splits_special_tokens: special tokens spelled out in a text are read as plain text.
        usual_length: the `model_max_length` of tokenizer_config.json, or a smaller `max_seq_length` of
            sentence_bert_config.json; None when neither says one.
    """

    tokenizer: tokenizers.Tokenizer
    special: dict[str, int]
    config: dict[str, Any]
    splits_special_tokens: bool = False
    usual_length: int | None = None


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Read tokenizer.json, else vocab.txt (WordPiece), else vocab.json and merges.txt (byte-level BPE).

    Raises:
        CheckpointError: the folder or the files are missing, or a file is broken.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: is not a folder; give a folder with tokenizer files")
    settings = read_json(folder / "tokenizer_config.json")
    special = read_json(folder / "special_tokens_map.json")
    require_types(folder / "tokenizer_config.json", settings)
    require_types(folder / "special_tokens_map.json", special)
    names = special | settings
    if (folder / "tokenizer.json").is_file():
        tokenizer = _read_tokenizer_json(folder / "tokenizer.json")
    elif (folder / "vocab.txt").is_file():
        tokenizer = _build_wordpiece(folder / "vocab.txt", settings, names)
        _add_more_tokens(tokenizer, folder / "added_tokens.json")
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        tokenizer = _build_byte_level(folder, settings, names)
        _add_more_tokens(tokenizer, folder / "added_tokens.json")
    else:
        raise CheckpointError(
            f"{folder}: has no tokenizer; put tokenizer.json, vocab.txt, or vocab.json with merges.txt there"
        )
    return TokenizerFiles(
        tokenizer=tokenizer,
        special=_special(tokenizer, names),
        config=read_json(folder / "config.json"),
        splits_special_tokens=settings.get("split_special_tokens") is True,
        usual_length=_usual_length(settings, read_json(folder / SENTENCE_SETTINGS)),
    )


def _usual_length(settings: dict[str, Any], sentences: dict[str, Any]) -> int | None:
    """Return the smaller of `model_max_length` and `max_seq_length`, those that are a whole number of 1 or more."""
    lengths = (settings.get("model_max_length"), sentences.get("max_seq_length"))
    said = [
        length
        for length in lengths
        if isinstance(length, int) and not isinstance(length, bool) and length >= 1
    ]
    return min(said, default=None)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, an empty one when there is no file.

    Raises:
        CheckpointError: the file cannot be read or is not a JSON object.
    """
    if not path.exists():
        return {}
    try:
        value = strict_json.parse_json(_read_text(path))
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON ({error}); copy the file again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: is not a JSON object; copy the file again")
    return value


def _read_text(path: Path) -> str:
    try:
        return strict_json.read_limited(path).decode("utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); copy the file again") from error


def _read_tokenizer_json(path: Path) -> tokenizers.Tokenizer:
    text = _read_text(path)
    read_json(path)  # what it reads as JSON is what others read
    with tokenizer_errors(path, "is not a tokenizer", "copy the file again"):
        return tokenizers.Tokenizer.from_str(text)


def _build_wordpiece(path: Path, settings: dict[str, Any], names: dict[str, Any]) -> tokenizers.Tokenizer:
    vocabulary = {token: index for index, token in enumerate(_read_text(path).removesuffix("\n").split("\n"))}
    unknown = _name(names, "unk_token") or _WORDPIECE_NAMES["unk_token"]
    if unknown not in vocabulary:
        raise CheckpointError(
            f"{path}: has no token {unknown}; give the vocabulary the model was trained with"
        )
    with tokenizer_errors(
        path, "and tokenizer_config.json are no WordPiece tokenizer", "copy both files again"
    ):
        tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
        tokenizer.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
            strip_accents=settings.get("strip_accents"),
            lowercase=bool(settings.get("do_lower_case", True)),
        )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _add_special_tokens(tokenizer, names, _WORDPIECE_NAMES)
    return tokenizer


def _build_byte_level(folder: Path, settings: dict[str, Any], names: dict[str, Any]) -> tokenizers.Tokenizer:
    vocabulary = read_json(folder / "vocab.json")
    lines = [
        line for line in _read_text(folder / "merges.txt").splitlines() if not line.startswith("#version")
    ]
    pairs = [tuple(line.split(" ")) for line in lines if line]
    with tokenizer_errors(folder, "vocab.json and merges.txt are no byte-level BPE", "copy both files again"):
        model = models.BPE(vocabulary, [(left, right) for left, right in pairs])
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=bool(settings.get("add_prefix_space", False))
    )
    _add_special_tokens(tokenizer, names, _BYTE_LEVEL_NAMES)
    return tokenizer


def _add_special_tokens(
    tokenizer: tokenizers.Tokenizer, names: dict[str, Any], usual: dict[str, str]
) -> None:
    """Make the special tokens of a vocabulary tokens that stand for themselves in a text.

    A mask takes the space before it, as RoBERTa's does.
    """
    for role, name in usual.items():
        token = _name(names, role) or name
        if tokenizer.token_to_id(token) is not None:
            lstrip = role == "mask_token" and usual is _BYTE_LEVEL_NAMES
            tokenizer.add_special_tokens(
                [tokenizers.AddedToken(token, lstrip=lstrip, special=True, normalized=False)]
            )


def _add_more_tokens(tokenizer: tokenizers.Tokenizer, path: Path) -> None:
    """Add the tokens that a vocabulary got later, as transformers kept them before it had tokenizer.json."""
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    more = [token for token in added_tokens(path, read_json(path)) if token not in known]
    tokenizer.add_tokens([tokenizers.AddedToken(token, normalized=True) for token in more])


def _name(names: dict[str, Any], role: str) -> str | None:
    """Return a special token's name; published files hold a string or an object with its `content`."""
    value = names.get(role)
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _special(tokenizer: tokenizers.Tokenizer, names: dict[str, Any]) -> dict[str, int]:
    found = {}
    for role in ("cls_token", "sep_token", "pad_token"):
        candidates = (_name(names, role), _WORDPIECE_NAMES[role], _BYTE_LEVEL_NAMES[role])
        ids = [tokenizer.token_to_id(name) for name in candidates if name is not None]
        known = [index for index in ids if index is not None]
        if known:
            found[role] = known[0]
    return found
