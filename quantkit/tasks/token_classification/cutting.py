"""From sentences to rows: words encoded one by one, and long sentences in windows that overlap.

A word's first token carries its label, as in transformers' examples. Words are encoded as `is_split_into_words` does.
A sentence that is longer than a row is read in windows that begin at words; where a word is in two of them, the one
counts in which it has more around it. A word of more tokens than a row is cut. No word is lost: one without any token
(a control character) has no place, and counts as O.
"""

import difflib
from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import DatasetError, UsageError
from quantkit.tasks.task import Dataset, Window, WindowSettings
from quantkit.tasks.token_classification.question import UNLABELLED, Sentence, SentenceWindow
from quantkit.tasks.tokenizer import Tokenizer

Ints = NDArray[np.int64]


def cut(dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
    """Return the windows of every sentence.

    Raises:
        DatasetError: a tag that the model does not have.
        UsageError: `max_length` leaves no room for text, or is more than the model has positions for.
    """
    room = settings.max_length - tokenizer.specials(1)
    if room < 1:
        raise UsageError(f"max_length: {settings.max_length} leaves no room for text; raise it")
    tokenizer.check_length(settings.max_length)
    sentences = cast(tuple[Sentence, ...], dataset.questions)
    encoded = tokenizer.encode_words([sentence.words for sentence in sentences])
    windows: list[Window] = []
    for index, (sentence, (ids, word_of)) in enumerate(zip(sentences, encoded, strict=True)):
        gold = _gold(dataset, sentence, tokenizer.labels)
        firsts = np.flatnonzero(np.diff(word_of, prepend=-1))
        parts = list(_parts(len(ids), firsts, room))
        owner = _owners(firsts, parts)
        for number, (begin, end) in enumerate(parts):
            own = firsts[owner == number]
            input_ids, token_type_ids = tokenizer.row(ids[begin:end])
            windows.append(
                SentenceWindow(
                    question=index,
                    input_ids=input_ids,
                    token_type_ids=token_type_ids,
                    words=word_of[own],
                    places=own - begin + tokenizer.before_text,
                    gold=gold,
                    labels=tokenizer.labels,
                )
            )
    return windows


def _parts(tokens: int, firsts: Ints, room: int) -> Iterator[tuple[int, int]]:
    """Yield where windows begin and end: a quarter of a window is in the next one, too."""
    begin = 0
    while begin + room < tokens:
        yield begin, begin + room
        later = firsts[(firsts > begin) & (firsts <= begin + room)]
        wanted = later[later >= begin + room - room // 4]
        begin = int(wanted[0] if len(wanted) else later[-1] if len(later) else begin + room)
    yield begin, tokens


def _owners(firsts: Ints, parts: list[tuple[int, int]]) -> Ints:
    """Return [firsts] the number of the window each word is read in: that in which it is farthest from an end."""
    margins = np.array(
        [
            np.where(
                (firsts >= begin) & (firsts < end),
                np.minimum(
                    firsts - begin if begin else np.inf, end - firsts if end < parts[-1][1] else np.inf
                ),
                -1.0,
            )
            for begin, end in parts
        ]
    )
    result: Ints = np.argmax(margins, axis=0).astype(np.int64)
    return result


def _gold(dataset: Dataset, sentence: Sentence, labels: tuple[str, ...]) -> Ints:
    if sentence.tags is None:
        return np.full(len(sentence.words), UNLABELLED, np.int64)
    return np.array([_label(dataset, sentence, tag, labels) for tag in sentence.tags], np.int64)


def _label(dataset: Dataset, sentence: Sentence, tag: str | int, labels: tuple[str, ...]) -> int:
    if isinstance(tag, str) and tag in labels:
        return labels.index(tag)
    if isinstance(tag, int) and 0 <= tag < len(labels):
        return tag
    near = difflib.get_close_matches(str(tag), labels, n=1)
    said = (
        f"did you mean {near[0]!r}?"
        if near
        else f"it has {', '.join(labels) or 'no id2label in config.json'}"
    )
    raise DatasetError(f"{dataset.path}: {sentence.id}: the model has no label {tag!r}; {said}")
