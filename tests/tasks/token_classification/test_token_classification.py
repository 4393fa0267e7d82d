"""Token classification: sentences are read, cut and scored; no word is lost."""

import json
from pathlib import Path

import numpy as np
import pytest

from quantkit.errors import DatasetError, EvaluationError
from quantkit.tasks import WindowSettings, task
from quantkit.tasks.rows.findings import findings
from quantkit.tasks.task import Dataset
from quantkit.tasks.token_classification import SentenceWindow
from quantkit.tasks.tokenizer import Tokenizer

TASK = task("token-classification")
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ann", "lee", "saw", "par", "##is", "in"]
CONLL = "-DOCSTART- -X- O\n\nann NNP B-PER\nlee NNP I-PER\nsaw VB O\nparis NN B-LOC\n\nin O\nparis B-LOC\n"


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    config = {"model_type": "bert", "vocab_size": len(WORDS), "max_position_embeddings": 64}
    (folder / "config.json").write_text(
        json.dumps({**config, "id2label": {str(index): name for index, name in enumerate(LABELS)}})
    )
    return Tokenizer.load(folder)


def _read(tmp_path: Path, text: str, name: str = "data.conll") -> Dataset:
    (tmp_path / name).write_text(text)
    return TASK.read(tmp_path / name, "data")


def _answers(windows: list[SentenceWindow], wanted: list[list[str]]) -> list[tuple[np.ndarray]]:
    """Return logits of which each word's label is the highest, and other tokens' are misleading."""
    found = []
    for row in windows:
        logits = np.zeros((len(row.input_ids), len(LABELS)), np.float32)
        logits[:, 3] = 5
        for word, place in zip(row.words, row.places, strict=True):
            logits[place] = 0
            logits[place, LABELS.index(wanted[row.question][word])] = 9
        found.append((logits,))
    return found


def test_conll_is_words_and_tags(tmp_path: Path) -> None:
    """The first column is the word, the last the tag, blank lines end sentences, documents are groups."""
    first, second = _read(tmp_path, CONLL).questions
    assert (first.words, first.tags) == (("ann", "lee", "saw", "paris"), ("B-PER", "I-PER", "O", "B-LOC"))
    assert (second.words, second.group) == (("in", "paris"), "document 1")


def test_rows_are_the_same_sentences(tmp_path: Path) -> None:
    """`tokens` and `ner_tags`, tags by name or by the number of the label."""
    rows = [{"tokens": ["ann", "lee"], "ner_tags": [1, 2]}, {"tokens": ["in"], "ner_tags": ["O"]}]
    dataset = _read(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "data.jsonl")
    assert [question.tags for question in dataset.questions] == [(1, 2), ("O",)]


def test_one_object_of_lists_is_a_sentence(tmp_path: Path) -> None:
    """Whatever its file is called: lists of words are no columns of sentences."""
    for name in ("data.json", "data.jsonl"):
        (only,) = _read(
            tmp_path, '{"tokens": ["ann", "lee"], "ner_tags": ["B-PER", "I-PER"]}', name
        ).questions
        assert only.words == ("ann", "lee")


def test_the_first_token_of_a_word_carries_its_label(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """`paris` is two tokens: the place of its word is the first of them, after [CLS]."""
    dataset = _read(tmp_path, CONLL)
    rows = TASK.cut(dataset, tokenizer, WindowSettings(max_length=64))
    assert rows[0].input_ids.tolist() == [2, 5, 6, 7, 8, 9, 3]
    assert rows[0].places.tolist() == [1, 2, 3, 4]
    assert rows[0].gold.tolist() == [1, 2, 0, 3]
    # Token 4 of 5 labels is B-LOC: what distillation learns from.
    assert TASK.right(dataset, rows)[0] == ((1 * 5 + 1, 2 * 5 + 2, 3 * 5 + 0, 4 * 5 + 3),)


def test_right_answers_are_right_and_a_lost_entity_is_counted(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Measures are right, wrong and missed entities; the answer says which, by words."""
    dataset = _read(tmp_path, CONLL)
    settings = WindowSettings(max_length=64)
    rows = TASK.cut(dataset, tokenizer, settings)
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC"]]
    for wanted, answers, measures, exact in (
        (gold, ["PER 0-1, LOC 3", "LOC 1"], [(2, 0, 0), (1, 0, 0)], [1.0, 1.0]),
        (
            [["B-PER", "O", "O", "B-LOC"], ["O", "O"]],
            ["PER 0, LOC 3", ""],
            [(1, 1, 1), (0, 0, 1)],
            [0.0, 0.0],
        ),
    ):
        found = TASK.predict(dataset, rows, _answers(rows, wanted), settings)
        assert [one.answer for one in found] == answers
        assert [one.measures for one in found] == measures
        assert [one.exact_match for one in found] == exact


def test_long_sentences_are_read_in_windows_and_no_word_is_lost(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Every word has its place in exactly one window, whatever the length of a row is."""
    words = ["ann", "paris", "lee", "in"] * 30
    tags = ["B-PER", "B-LOC", "B-PER", "O"] * 30
    dataset = _read(tmp_path, "".join(f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True)))
    for length in (4, 5, 9, 16, 64):
        settings = WindowSettings(max_length=length)
        rows = TASK.cut(dataset, tokenizer, settings)
        assert max(len(row.input_ids) for row in rows) <= length
        assert sorted(word for row in rows for word in row.words) == list(range(120))
        (found,) = TASK.predict(dataset, rows, _answers(rows, [tags]), settings)
        assert (found.exact_match, found.measures) == (1.0, (90.0, 0.0, 0.0))


def test_a_word_without_a_token_counts_as_outside(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """A control character becomes no token: its entity is missed, not left out of the count."""
    dataset = _read(tmp_path, "ann B-PER\n\x00 B-LOC\n")
    settings = WindowSettings(max_length=64)
    rows = TASK.cut(dataset, tokenizer, settings)
    (found,) = TASK.predict(dataset, rows, _answers(rows, [["B-PER", "B-LOC"]]), settings)
    assert found.measures == (1.0, 0.0, 1.0)


def test_expected_scores_feel_what_answers_do_not(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """The same answers with less certainty are expected to be right less often."""
    dataset, settings = _read(tmp_path, CONLL), WindowSettings(max_length=64)
    rows = TASK.cut(dataset, tokenizer, settings)
    sure = _answers(rows, [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC"]])
    unsure = [(logits / 4,) for (logits,) in sure]
    high, low = (TASK.expected_scores(dataset, rows, logits, settings) for logits in (sure, unsure))
    assert all(0 < less < more <= 1 for less, more in zip(low, high, strict=True))


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("ann\n", "d.conll", "line 1: has a word and no tag"),
        ('{"tokens": ["a", "b"], "ner_tags": [0]}\n', "d.jsonl", "ner_tags has no tag for each of 2 words"),
        ('{"tokens": "a b", "ner_tags": [0]}\n', "d.jsonl", "tokens is no list of words"),
        ('{"text": "a b"}\n', "d.jsonl", "no column is the tokens"),
        ('[{"tokens": "a b", "ner_tags": "O"}]', "d.json", "tokens is no list of words"),
        ("-DOCSTART- O\n\n", "d.conll", "has no sentences"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, name: str, said: str) -> None:
    """One line says what is wrong, and where."""
    with pytest.raises(DatasetError, match=said):
        _read(tmp_path, text, name)


def test_a_tag_that_the_model_does_not_have_is_named(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """With the label that is near."""
    with pytest.raises(DatasetError, match="no label 'B-PERS'; did you mean 'B-PER'"):
        TASK.cut(_read(tmp_path, "ann B-PERS\n"), tokenizer, WindowSettings(max_length=64))


def test_untagged_sentences_calibrate_and_do_not_score(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Without tags there is nothing to compare with."""
    dataset = _read(tmp_path, '{"tokens": ["ann"]}\n', "d.jsonl")
    settings = WindowSettings(max_length=64)
    rows = TASK.cut(dataset, tokenizer, settings)
    assert TASK.right(dataset, rows) == [((),)]
    with pytest.raises(DatasetError, match="has no tags"):
        TASK.predict(dataset, rows, _answers(rows, [["O"]]), settings)


def test_logits_of_other_labels_are_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """A head of three labels is not the one that config.json names five of."""
    dataset, settings = _read(tmp_path, "ann B-PER\n"), WindowSettings(max_length=64)
    rows = TASK.cut(dataset, tokenizer, settings)
    with pytest.raises(EvaluationError, match="gives 3 numbers"):
        TASK.predict(dataset, rows, [(np.zeros((3, 3), np.float32),)], settings)


def test_data_check_counts_tags(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Sentences, their tags, and tokens as the words are encoded."""
    found = findings(_read(tmp_path, CONLL), TASK, tokenizer, WindowSettings(max_length=64))
    assert (found.questions, found.unanswered, found.truncated) == (2, 0, 0)
    assert found.labels == {"O": 2, "B-LOC": 2, "B-PER": 1, "I-PER": 1}
