"""Tokenizers from an artifact's own files, with the `tokenizers` library only.

What stands around the texts of a row (special tokens, how many separators, token types) is asked of the
tokenizer itself by encoding a pair, so that one code serves WordPiece and byte-level BPE families alike.
"""

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from quantkit.errors import CheckpointError, UsageError
from quantkit.tasks.positions import longest_row
from quantkit.tasks.tokenizer_errors import tokenizer_errors
from quantkit.tasks.tokenizer_files import TokenizerFiles, read_tokenizer_files

_AT_ONCE = 1024  # texts per call of the library: bounds the memory its own objects take
_SPACE = np.array([chr(code).isspace() for code in range(0x3002)])  # no space lies beyond U+3000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tokens:
    """One text in tokens, without special tokens.

    Attributes:
        ids: int64 [tokens].
        offsets: int32 [tokens, 2]: the first character and the one after the last, in the original text,
            without white space at either end.
    """

    ids: NDArray[np.int64]
    offsets: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The special tokens around one text or two: prefix, first text, middle, second text, suffix.

    Attributes:
        prefix: ids before the first text.
        middle: ids between the texts of a pair.
        suffix: ids after the last text.
        second_type: token type of the second text and the suffix of a pair.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    second_type: int


class Tokenizer:
    """A tokenizer read from a folder.

    Truncation and padding stored in the files are ignored. Special tokens spelled out in a text are those tokens, as in
    transformers, unless tokenizer_config.json says `split_special_tokens`.

    Attributes:
        folder: where it was read from.
        vocab_size: the greatest token id plus 1.
        cls_id: the id of the first token of a row.
        sep_id: the id of the last token of a row.
        pad_id: the id to pad rows with.
        separators: separator tokens between the two texts of a pair, 1 (BERT) or 2 (RoBERTa).
        uses_token_types: the second text of a pair has token type 1.
        labels: names of the labels by index (`id2label` of config.json), empty when it has none.
        max_positions: the longest row the model's position table holds, None when unknown.
        usual_length: the longest row the tokenizer is meant for (`TokenizerFiles.usual_length`), None when unknown.
    """

    def __init__(self, folder: Path, files: TokenizerFiles) -> None:
        """Use `load`."""
        self._tokenizer = files.tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = files.splits_special_tokens
        self._layout = _layout(folder, files)
        self.folder = folder
        self.vocab_size = max(self._tokenizer.get_vocab().values(), default=-1) + 1
        self.cls_id = self._layout.prefix[0]
        self.sep_id = self._layout.suffix[-1]
        self.pad_id = _pad_id(files)
        self.separators = len(self._layout.middle)
        self.uses_token_types = self._layout.second_type == 1
        self.labels = _labels(folder, files.config)
        self.max_positions = longest_row(files.config, self.pad_id)
        self.usual_length = files.usual_length

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read tokenizer.json, else vocab.txt (WordPiece), else vocab.json and merges.txt (byte-level BPE).

        Raises:
            CheckpointError: files are missing or broken, or there are no special tokens to build rows with.
        """
        return cls(folder, read_tokenizer_files(folder))

    @property
    def vocabulary(self) -> dict[str, int]:
        """Return token → id, added tokens too."""
        return dict(self._tokenizer.get_vocab())

    def check_vocabulary(self, vocab_size: int) -> None:
        """Check that a model with `vocab_size` embeddings has one for every token.

        It may have more: rows that pad the table for fast kernels, or that no token was ever given.

        Raises:
            CheckpointError: it has fewer.
        """
        require_rows(self.folder, self.vocab_size, vocab_size)

    def check_length(self, max_length: int) -> None:
        """Check that rows of `max_length` tokens fit the model's position table.

        Raises:
            UsageError: they do not.
        """
        if self.max_positions is not None and max_length > self.max_positions:
            raise UsageError(
                f"max_length: is {max_length}, but the model in {self.folder} has "
                f"{self.max_positions} positions; lower max_length"
            )

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenize texts, without special tokens, truncation or padding."""
        found = []
        for start in range(0, len(texts), _AT_ONCE):
            part = texts[start : start + _AT_ONCE]
            with self._errors():
                encodings = self._tokenizer.encode_batch(part, add_special_tokens=False)
            for text, encoding in zip(part, encodings, strict=True):
                offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2)
                found.append(Tokens(ids=np.array(encoding.ids, np.int64), offsets=_trim(offsets, text)))
        return found

    def encode_ids(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Return only the token ids of texts, int64 [tokens] each; faster than `encode`."""
        found = []
        for start in range(0, len(texts), _AT_ONCE):
            with self._errors():
                encodings = self._tokenizer.encode_batch_fast(
                    texts[start : start + _AT_ONCE], add_special_tokens=False
                )
            found += [np.array(encoding.ids, np.int64) for encoding in encodings]
        return found

    def encode_words(
        self, sentences: Sequence[Sequence[str]]
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return of each sentence the token ids and the words they are of, int64 [tokens] each.

        Words are encoded one by one, as transformers does with `is_split_into_words`: whether a byte-level tokenizer
        puts a space before each is what its files say (`add_prefix_space`).
        """
        found = []
        for start in range(0, len(sentences), _AT_ONCE):
            part = [list(words) for words in sentences[start : start + _AT_ONCE]]
            with self._errors():
                encodings = self._tokenizer.encode_batch(part, is_pretokenized=True, add_special_tokens=False)
            for encoding in encodings:
                ids, words = np.array(encoding.ids, np.int64), np.array(encoding.word_ids, np.int64)
                found.append((ids, words))
        return found

    @property
    def before_text(self) -> int:
        """How many special tokens stand before the text of a row."""
        return len(self._layout.prefix)

    def _errors(self) -> AbstractContextManager[None]:
        return tokenizer_errors(
            self.folder,
            "its tokenizer cannot encode a text",
            "use the tokenizer files the model was trained with",
        )

    def specials(self, texts: int) -> int:
        """Return how many special tokens a row of 1 or 2 texts has."""
        middle = len(self._layout.middle) if texts == 2 else 0
        return len(self._layout.prefix) + middle + len(self._layout.suffix)

    def second_at(self, first: int) -> int:
        """Return where the second text begins in a row whose first text has `first` tokens."""
        return len(self._layout.prefix) + first + len(self._layout.middle)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """The ids that stand around texts, and the padding."""
        return (*self._layout.prefix, *self._layout.middle, *self._layout.suffix, self.pad_id)

    def row(
        self, first: NDArray[np.int64], second: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (input_ids, token_type_ids), both int64 [tokens], of one text or a pair."""
        prefix, middle, suffix = self._special_arrays
        if second is None:
            input_ids = np.concatenate((prefix, first, suffix))
            return input_ids, np.zeros_like(input_ids)
        input_ids = np.concatenate((prefix, first, middle, second, suffix))
        token_type_ids = np.zeros_like(input_ids)
        token_type_ids[self.second_at(len(first)) :] = self._layout.second_type
        return input_ids, token_type_ids

    @functools.cached_property
    def _special_arrays(self) -> tuple[NDArray[np.int64], ...]:
        layout = self._layout
        return tuple(np.array(ids, np.int64) for ids in (layout.prefix, layout.middle, layout.suffix))


def require_rows(folder: Path, tokens: int, vocab_size: int) -> None:
    """Check that a model has an embedding for every token.

    Args:
        folder: of the tokenizer, for messages.
        tokens: the greatest id it gives, plus 1.
        vocab_size: rows of the word embedding.

    Raises:
        CheckpointError: it has fewer.
    """
    if vocab_size < tokens:
        raise CheckpointError(
            f"{folder}: the tokenizer has {tokens} tokens but the model {vocab_size}; "
            "use the tokenizer files the model was trained with"
        )


def _pad_id(files: TokenizerFiles) -> int:
    configured = files.config.get("pad_token_id")
    return files.special.get("pad_token", configured if isinstance(configured, int) else 0)


def _layout(folder: Path, files: TokenizerFiles) -> Layout:
    """Ask the tokenizer how it surrounds a pair; build BERT's or RoBERTa's way when it adds nothing."""
    with tokenizer_errors(folder, "its tokenizer cannot encode a pair of texts", "copy its files again"):
        pair = files.tokenizer.encode("a", "b")
    first = [index for index, sequence in enumerate(pair.sequence_ids) if sequence == 0]
    second = [index for index, sequence in enumerate(pair.sequence_ids) if sequence == 1]
    # A model with one token type (RoBERTa) would look up a row that its table does not have.
    types = files.config.get("type_vocab_size", 2)
    if not isinstance(types, int):
        raise CheckpointError(
            f"{folder / 'config.json'}: type_vocab_size is {types!r}; it must be a whole number"
        )
    one_type = types < 2
    if first and second and first[0] > 0 and second[-1] + 1 < len(pair.ids):
        return Layout(
            prefix=tuple(pair.ids[: first[0]]),
            middle=tuple(pair.ids[first[-1] + 1 : second[0]]),
            suffix=tuple(pair.ids[second[-1] + 1 :]),
            second_type=0 if one_type else pair.type_ids[second[0]],
        )
    if not {"cls_token", "sep_token"} <= files.special.keys():
        raise CheckpointError(
            f"{folder}: the tokenizer has neither [CLS] and [SEP] nor <s> and </s>; "
            "name its cls_token and sep_token in tokenizer_config.json"
        )
    cls_id, sep_id = files.special["cls_token"], files.special["sep_token"]
    roberta = isinstance(files.tokenizer.model, tokenizers.models.BPE)
    return Layout(
        prefix=(cls_id,),
        middle=(sep_id, sep_id) if roberta else (sep_id,),
        suffix=(sep_id,),
        second_type=0 if roberta or one_type else 1,
    )


def _labels(folder: Path, config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label") or {}
    try:
        return tuple(str(names[str(index)]) for index in range(len(names)))
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / 'config.json'}: id2label does not name the labels 0, 1, 2, ...; mend the file"
        ) from error


def _trim(offsets: NDArray[np.int32], text: str) -> NDArray[np.int32]:
    """Move offsets inwards past white space: a byte-level token owns the space before its word."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    space = _SPACE[np.minimum(codes, len(_SPACE) - 1)]
    starts, ends = offsets[:, 0], offsets[:, 1]
    full = ends > starts
    if not (space[starts[full]].any() or space[ends[full] - 1].any()):
        return offsets
    at = np.arange(len(text), dtype=np.int32)
    next_word = np.minimum.accumulate(np.where(space, len(text), at)[::-1])[::-1]
    last_word_end = np.maximum.accumulate(np.where(space, 0, at + 1))
    trimmed = offsets.copy()
    trimmed[full, 0] = np.minimum(next_word[starts[full]], ends[full])
    trimmed[full, 1] = np.maximum(last_word_end[ends[full] - 1], trimmed[full, 0])
    return trimmed
