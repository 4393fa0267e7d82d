"""Values of tokenizer_config.json and added_tokens.json that are of a wrong type, said before a library stumbles."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quantkit.errors import CheckpointError

_SWITCHES = (
    "do_lower_case",
    "tokenize_chinese_chars",
    "strip_accents",
    "add_prefix_space",
    "split_special_tokens",
)
_NUMBERS = ("model_max_length", "max_len")
_TOKENS = ("cls_token", "sep_token", "pad_token", "mask_token", "unk_token", "bos_token", "eos_token")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_token(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("content"), str))


_KINDS: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (_SWITCHES, lambda value: isinstance(value, bool), "true or false"),
    (_NUMBERS, _is_number, "a number"),
    (_TOKENS, _is_token, "a text, or an object with its content"),
    (("tokenizer_class",), lambda value: isinstance(value, str), "a text"),
    (("added_tokens_decoder",), lambda value: isinstance(value, dict), "an object"),
)


def require_types(path: Path, settings: Mapping[str, Any]) -> None:
    """Check the settings of a tokenizer that decide how texts are read; null stands for no setting.

    Args:
        path: the file, for messages.
        settings: what is in it.

    Raises:
        CheckpointError: one is of another type.
    """
    for names, fits, wanted in _KINDS:
        for name in names:
            value = settings.get(name)
            if value is not None and not fits(value):
                raise CheckpointError(f"{path}: {name} is {value!r}; it must be {wanted}")


def added_tokens(path: Path, content: Mapping[str, Any]) -> list[str]:
    """Return the tokens of added_tokens.json in the order of their ids.

    Raises:
        CheckpointError: an id is no whole number.
    """
    for token, index in content.items():
        if isinstance(index, bool) or not isinstance(index, int):
            raise CheckpointError(f"{path}: the id of {token!r} is {index!r}; it must be a whole number")
    return sorted(content, key=content.__getitem__)
