"""Windows of questions: token ids, stretches, offsets."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantkit.errors import UsageError
from quantkit.tasks import Dataset, WindowSettings, task
from quantkit.tasks.squad.cutting import SquadWindow, cut
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.tokenizer import Tokenizer

SMALL = WindowSettings(max_length=24, doc_stride=5, max_query_length=6)
WORDS = st.lists(st.sampled_from(["who", "wrote", "Köln", "letter.", "日本", "😀", "x" * 9]), max_size=40)


def dataset_of(context: str, question: str) -> Dataset:
    """Return a dataset of one question."""
    asked = SquadQuestion(id="q", group="g", context=context, question=question, answers=("x",))
    return Dataset(name="d", path=Path("d.json"), digest="0", source="0", task="squad", questions=(asked,))


def rows_of(
    context: str, question: str, tokenizer: Tokenizer, chosen: WindowSettings = SMALL
) -> list[SquadWindow]:
    """Return the windows of one question."""
    return cast(list[SquadWindow], cut(dataset_of(context, question), tokenizer, chosen))


@pytest.mark.parametrize("family", ["wordpiece", "byte_level"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(context=WORDS.map(" ".join), question=WORDS.map(" ".join))
def test_windows_of_a_question_cover_its_paragraph(
    request: pytest.FixtureRequest, family: str, context: str, question: str
) -> None:
    """Rows never exceed `max_length`, hold the cut question, advance by the stride, and cover every token."""
    tokenizer: Tokenizer = request.getfixturevalue(family)
    (tokens,) = tokenizer.encode([context])
    query = tokenizer.encode_ids([question.lstrip()])[0][: SMALL.max_query_length]
    at = tokenizer.second_at(len(query))
    rebuilt = {}
    for number, row in enumerate(rows_of(context, question, tokenizer)):
        assert len(row.input_ids) == len(row.token_type_ids) <= SMALL.max_length
        assert [tokenizer.cls_id, *query] == row.input_ids[: len(query) + 1].tolist()
        assert [tokenizer.sep_id] * tokenizer.separators == row.input_ids[len(query) + 1 : at].tolist()
        assert tokenizer.sep_id == row.input_ids[-1]
        assert at == row.first
        window = row.input_ids[at:-1]
        assert len(window) == len(row.offsets)
        for index, token in enumerate(window.tolist()):
            rebuilt[number * SMALL.doc_stride + index] = (token, *row.offsets[index].tolist())
    expected = {
        index: (token, *offsets)
        for index, (token, offsets) in enumerate(
            zip(tokens.ids.tolist(), tokens.offsets.tolist(), strict=True)
        )
    }
    assert rebuilt == expected


def test_every_token_may_begin_an_answer_in_one_window(wordpiece: Tokenizer) -> None:
    """The widest-context runs of a question's windows share no token and leave none out."""
    rows = rows_of("who wrote the long letter " * 6, "who", wordpiece)
    starts = [
        number * SMALL.doc_stride + row.widest[0] + index
        for number, row in enumerate(rows)
        for index in range(row.widest[1])
    ]
    assert len(rows) > 2
    assert starts == list(range(30))


def test_byte_level_question_loses_its_leading_space(byte_level: Tokenizer) -> None:
    """A question that begins with white space has the tokens of the question without it."""
    (plain,) = rows_of("the price", "Who wrote", byte_level)
    (spaced,) = rows_of("the price", "  Who wrote", byte_level)
    assert plain.input_ids.tolist() == spaced.input_ids.tolist()


def test_a_paragraph_without_tokens_still_has_a_window(wordpiece: Tokenizer) -> None:
    """A paragraph of white space gives one row with an empty window, so that no question is lost."""
    (row,) = rows_of("  ", "who", wordpiece)
    assert len(row.offsets) == 0
    assert [wordpiece.cls_id, *wordpiece.encode_ids(["who"])[0], 3, 3] == row.input_ids.tolist()


def test_questions_of_a_paragraph_share_its_offsets(
    wordpiece: Tokenizer, write_squad: Callable[..., Path]
) -> None:
    """Offsets are kept once per paragraph, however many questions it has."""
    path = write_squad({"Ann wrote the letter.": {"Who?": ["Ann"], "What?": ["the letter"]}})
    squad = task("squad")
    first, second = cast(list[SquadWindow], squad.cut(squad.read(path, "d"), wordpiece, WindowSettings()))
    assert (first.question, second.question) == (0, 1)
    assert np.shares_memory(first.offsets, second.offsets)


def test_no_room_for_the_paragraph_is_an_error(wordpiece: Tokenizer, byte_level: Tokenizer) -> None:
    """Settings that leave no token for the paragraph, or exceed the model's positions, are refused."""
    with pytest.raises(
        UsageError, match="max_length: 67 leaves no room for the text beside a question of 64"
    ):
        rows_of("who", "who", wordpiece, WindowSettings(max_length=67))
    rows_of("who", "who", wordpiece, WindowSettings(max_length=68))
    with pytest.raises(UsageError, match="max_length: is 600, but the model"):
        rows_of("who", "who", byte_level, WindowSettings(max_length=600))


@pytest.mark.parametrize("name", list(WindowSettings().as_json()))
def test_settings_below_one_are_refused(name: str) -> None:
    """No setting may be 0, which would loop, lose tokens or answers."""
    with pytest.raises(UsageError, match=f"{name}: is 0; give"):
        WindowSettings(**{name: 0})


@pytest.mark.real
def test_squad_dev_has_10833_windows(shared: Path) -> None:
    """SQuAD dev at 384/128 is MLPerf's 10,833 windows of 10,570 questions."""
    squad = task("squad")
    dataset = squad.read(shared / "data" / "squad" / "dev-v1.1.json", "squad")
    tokenizer = Tokenizer.load(shared / "models" / "minilm-l6-squad")
    tokenizer.check_vocabulary(30_522)
    windows = squad.cut(dataset, tokenizer, WindowSettings())
    assert (len(dataset.questions), len(windows)) == (10_570, 10_833)
    assert max(len(window.input_ids) for window in windows) == 384


@pytest.mark.real
def test_windows_equal_those_of_transformers(shared: Path) -> None:
    """Rows and offsets equal transformers' own, given the overlap that makes its windows the same."""
    transformers = pytest.importorskip("transformers")
    folder = shared / "models" / "minilm-l6-squad"
    squad = task("squad")
    dataset = squad.read(shared / "data" / "squad" / "dev-v1.1.json", "squad").limit(400)
    rows = cast(list[SquadWindow], squad.cut(dataset, Tokenizer.load(folder), WindowSettings()))
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    expected = []
    for asked in cast(tuple[SquadQuestion, ...], dataset.questions):
        query = len(reference(asked.question, add_special_tokens=False, truncation=False)["input_ids"])
        assert query <= 64
        batch = reference(
            asked.question,
            asked.context,
            truncation="only_second",
            max_length=384,
            stride=384 - 3 - query - 128,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        keys = ("input_ids", "token_type_ids", "offset_mapping")
        expected += [
            (ids, types, offsets[query + 2 : -1])
            for ids, types, offsets in zip(*map(batch.get, keys), strict=True)
        ]
    actual = [
        (row.input_ids.tolist(), row.token_type_ids.tolist(), [tuple(pair) for pair in row.offsets.tolist()])
        for row in rows
    ]
    assert actual == expected
