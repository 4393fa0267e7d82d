"""Windows of questions as BERT and MLPerf cut them: [CLS] question [SEP] stretch of the paragraph [SEP]."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import UsageError
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.squad.windows import Stretch, cut_windows, widest_context
from quantkit.tasks.task import Dataset, Window, WindowSettings
from quantkit.tasks.tokenizer import Tokenizer, Tokens


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SquadWindow(Window):
    """A question with one stretch of its paragraph.

    Attributes:
        first: where the stretch's first token is in `input_ids`.
        offsets: int32 [stretch tokens, 2], characters of the paragraph; a view of the paragraph's own array.
        widest: the stretch's tokens, (first, number) counted from `first`, that no other window sees with more
            context; an answer begins only there.
    """

    first: int
    offsets: NDArray[np.int32]
    widest: Stretch


def cut(dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
    """Return the windows of every question, in order; those of a question stand together.

    Each paragraph is tokenized once, however many questions it has.

    Raises:
        UsageError: `max_length` leaves no room for the paragraph, or is more than the model has positions
            for.
    """
    _check_length(tokenizer, settings)
    questions = cast(tuple[SquadQuestion, ...], dataset.questions)
    contexts = list(dict.fromkeys(question.context for question in questions))
    tokens = dict(zip(contexts, tokenizer.encode(contexts), strict=True))
    # A byte-level tokenizer would take leading white space for a word of the question.
    encoded = tokenizer.encode_ids([question.question.lstrip() for question in questions])
    windows: list[Window] = []
    for index, (question, ids) in enumerate(zip(questions, encoded, strict=True)):
        query = ids[: settings.max_query_length]
        cut_off = len(ids) > len(query)
        windows += _windows(index, query, tokens[question.context], tokenizer, settings, truncated=cut_off)
    return windows


def _windows(
    index: int,
    query: NDArray[np.int64],
    context: Tokens,
    tokenizer: Tokenizer,
    settings: WindowSettings,
    *,
    truncated: bool,
) -> list[SquadWindow]:
    room = settings.max_length - tokenizer.specials(2) - len(query)
    stretches = cut_windows(len(context.ids), room, settings.doc_stride)
    found = []
    for (start, length), (widest_start, widest_length) in zip(
        stretches, widest_context(stretches), strict=True
    ):
        input_ids, token_type_ids = tokenizer.row(query, context.ids[start : start + length])
        found.append(
            SquadWindow(
                question=index,
                input_ids=input_ids,
                token_type_ids=token_type_ids,
                truncated=truncated,
                first=tokenizer.second_at(len(query)),
                offsets=context.offsets[start : start + length],
                widest=(widest_start - start, widest_length),
            )
        )
    return found


def _check_length(tokenizer: Tokenizer, settings: WindowSettings) -> None:
    if settings.max_length <= settings.max_query_length + tokenizer.specials(2):
        raise UsageError(
            f"max_length: {settings.max_length} leaves no room for the text beside a question of "
            f"{settings.max_query_length} tokens and {tokenizer.specials(2)} special ones; "
            "raise max_length or lower max_query_length"
        )
    tokenizer.check_length(settings.max_length)
