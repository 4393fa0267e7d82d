"""Tokenizers read from folders."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.errors import CheckpointError, UsageError
from quantkit.tasks.tokenizer import Tokenizer


def test_wordpiece_rows_have_one_separator_and_token_types(wordpiece: Tokenizer) -> None:
    """BERT: [CLS] a [SEP] b [SEP], and the second part has token type 1."""
    first, second = wordpiece.encode_ids(["who wrote", "the letter"])
    input_ids, token_type_ids = wordpiece.row(first, second)
    assert [2, *first, 3, *second, 3] == input_ids.tolist()
    assert token_type_ids.tolist() == [0] * 4 + [1] * 3
    assert (wordpiece.separators, wordpiece.uses_token_types, wordpiece.pad_id) == (1, True, 0)
    assert (input_ids.dtype, token_type_ids.dtype) == (np.dtype(np.int64), np.dtype(np.int64))


def test_byte_level_rows_have_two_separators_and_no_token_types(byte_level: Tokenizer) -> None:
    """RoBERTa: <s> a </s></s> b </s>, and no token has a type."""
    first, second = byte_level.encode_ids(["Who wrote", "the letter"])
    input_ids, token_type_ids = byte_level.row(first, second)
    assert [0, *first, 2, 2, *second, 2] == input_ids.tolist()
    assert not token_type_ids.any()
    assert (byte_level.separators, byte_level.uses_token_types, byte_level.pad_id) == (2, False, 1)


def test_truncation_and_padding_of_the_file_are_ignored(byte_level: Tokenizer) -> None:
    """A tokenizer.json that truncates to 8 and pads to 16 does neither here."""
    long = "Ann wrote the long letter in Köln, on a cold day. " * 5
    lengths = [len(tokens.ids) for tokens in byte_level.encode([long, "Ann"])]
    assert lengths[0] > 16
    assert lengths[1] < 8
    assert lengths == [len(ids) for ids in byte_level.encode_ids([long, "Ann"])]


TEXTS = st.text(alphabet=st.characters(codec="utf-8"), max_size=30)


@settings(max_examples=60)
@given(TEXTS)
def test_byte_level_offsets_index_characters(byte_level: Tokenizer, text: str) -> None:
    """Offsets count characters, not bytes, and together cover everything except white space."""
    (tokens,) = byte_level.encode([text])
    covered = np.zeros(len(text), bool)
    for start, end in tokens.offsets.tolist():
        assert 0 <= start <= end <= len(text)
        assert text[start:end].strip() == text[start:end]
        covered[start:end] = True
    assert all(covered[index] for index, character in enumerate(text) if not character.isspace())


def test_byte_level_offsets_leave_the_leading_space_out(byte_level: Tokenizer) -> None:
    """A word's token owns the space before it, its offsets do not, also past multi-byte characters."""
    text = "😀 Köln  the price"
    (tokens,) = byte_level.encode([text])
    pieces = [text[start:end] for start, end in tokens.offsets.tolist()]
    assert pieces[0] == "😀"
    assert "the" in pieces
    assert "price" in pieces


def test_wordpiece_offsets_index_the_original_text(wordpiece: Tokenizer) -> None:
    """Offsets index the text as given, before lower-casing and stripping of accents."""
    text = "WHO wröte"
    (tokens,) = wordpiece.encode([text])
    assert [text[start:end] for start, end in tokens.offsets.tolist()] == ["WHO", "wröte"]


def test_special_tokens_in_a_text_are_those_tokens(wordpiece: Tokenizer, byte_level: Tokenizer) -> None:
    """A text that spells a separator out has one, as in transformers."""
    assert wordpiece.sep_id in wordpiece.encode_ids(["who [SEP] wrote"])[0]
    assert byte_level.sep_id in byte_level.encode_ids(["who </s> wrote"])[0]


def test_vocab_txt_equals_tokenizer_json(
    wordpiece_folder: Path, wordpiece: Tokenizer, tmp_path: Path
) -> None:
    """The same vocabulary gives the same rows from either file, also without a post-processor stored."""
    saved = tokenizers.Tokenizer.from_str(wordpiece._tokenizer.to_str())
    saved.save(str(tmp_path / "tokenizer.json"))
    other = Tokenizer.load(tmp_path)
    texts = ["Who wrote the letter?", "ünïcode"]
    for expected, actual in zip(wordpiece.encode(texts), other.encode(texts), strict=True):
        assert expected.ids.tolist() == actual.ids.tolist()
        assert expected.offsets.tolist() == actual.offsets.tolist()
    assert (wordpiece.cls_id, wordpiece.sep_id, wordpiece.separators) == (
        other.cls_id,
        other.sep_id,
        other.separators,
    )
    assert wordpiece_folder == wordpiece.folder


def test_vocab_json_and_merges_equal_tokenizer_json(
    byte_level_folder: Path, byte_level: Tokenizer, tmp_path: Path
) -> None:
    """RoBERTa's older pair of files gives the rows of its tokenizer.json."""
    model = json.loads((byte_level_folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    other = Tokenizer.load(tmp_path)
    texts = ["Who wrote the letter in Köln?", " 😀"]
    assert [ids.tolist() for ids in byte_level.encode_ids(texts)] == [
        ids.tolist() for ids in other.encode_ids(texts)
    ]
    first, second = byte_level.encode_ids(texts)
    assert byte_level.row(first, second)[0].tolist() == other.row(first, second)[0].tolist()
    assert (other.separators, other.uses_token_types) == (2, False)


def test_cased_vocabulary_is_read_from_the_settings(wordpiece_folder: Path, tmp_path: Path) -> None:
    """`do_lower_case: false` in tokenizer_config.json keeps capitals, which this vocabulary does not know."""
    shutil.copytree(wordpiece_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "tokenizer_config.json").write_text(
        '{"do_lower_case": false, "unk_token": {"content": "[UNK]"}}'
    )
    assert Tokenizer.load(tmp_path).encode_ids(["WHO"])[0].tolist() == [1]


@pytest.mark.parametrize("more", [0, 1, 5000])
def test_a_model_may_have_rows_that_no_token_uses(wordpiece: Tokenizer, more: int) -> None:
    """A table may be longer than the vocabulary, padded or as published Italian and Turkish models are."""
    wordpiece.check_vocabulary(wordpiece.vocab_size + more)


@pytest.mark.parametrize("difference", [-1, -5])
def test_a_token_without_a_row_is_an_error(wordpiece: Tokenizer, difference: int) -> None:
    """A model with fewer rows than the tokenizer has tokens is refused in one line with both sizes."""
    size = wordpiece.vocab_size + difference
    with pytest.raises(
        CheckpointError, match=rf"has {wordpiece.vocab_size} tokens but the model {size}; use"
    ):
        wordpiece.check_vocabulary(size)


def test_positions_of_decibert_start_where_its_config_says(byte_level: Tokenizer, tmp_path: Path) -> None:
    """A table of 514 holds rows of 512 tokens with an offset of 2, and of 514 without one."""
    shutil.copytree(byte_level.folder, tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    config = json.loads(path.read_text()) | {"model_type": "decibert"}
    for offset, expected in ((2, 512), (0, 514)):
        path.write_text(json.dumps(config | {"position_offset": offset}))
        assert Tokenizer.load(path.parent).max_positions == expected


def test_positions_of_roberta_start_after_the_padding_id(byte_level: Tokenizer, wordpiece: Tokenizer) -> None:
    """RoBERTa's table of 514 positions takes rows of 512; a checkpoint that does not say takes any."""
    byte_level.check_length(512)
    with pytest.raises(UsageError, match=r"max_length: is 513, but the model in .* has 512 positions; lower"):
        byte_level.check_length(513)
    wordpiece.check_length(100_000)


def _nothing(folder: Path) -> None:
    (folder / "vocab.txt").unlink()


def _broken_json(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "mod')


def _no_text(folder: Path) -> None:
    (folder / "vocab.txt").write_bytes(b"\xff\xfe\x00")


def _no_unknown(folder: Path) -> None:
    (folder / "vocab.txt").write_text("a\nb\n")


def _no_special(folder: Path) -> None:
    (folder / "vocab.txt").write_text("[UNK]\na\nb\n")


def _broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def _broken_labels(folder: Path) -> None:
    (folder / "config.json").write_text('{"id2label": {"1": "good"}}')


def _other_json(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')


def _broken_merges(folder: Path) -> None:
    (folder / "vocab.txt").unlink()
    (folder / "vocab.json").write_text('{"a": 0}')
    (folder / "merges.txt").write_text("a b\n")


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (_nothing, "has no tokenizer; put tokenizer.json"),
        (_broken_json, r"tokenizer\.json: is not JSON \(.*\); copy"),
        (_other_json, r"tokenizer\.json: is not a tokenizer .*; copy"),
        (_no_text, "vocab.txt: cannot be read .*; copy"),
        (_no_unknown, r"vocab.txt: has no token \[UNK\]; give"),
        (_no_special, r"neither \[CLS\] and \[SEP\] nor <s> and </s>; name"),
        (_broken_config, "config.json: is not a JSON object; copy"),
        (_broken_labels, "id2label does not name the labels 0, 1, 2, ...; mend"),
        (_broken_merges, "no byte-level BPE .*; copy"),
    ],
)
def test_broken_files_are_one_line(
    wordpiece_folder: Path, tmp_path: Path, damage: Callable[[Path], None], line: str
) -> None:
    """Every kind of broken tokenizer files is one line that names the file and says what to do."""
    shutil.copytree(wordpiece_folder, tmp_path, dirs_exist_ok=True)
    damage(tmp_path)
    with pytest.raises(CheckpointError, match=line) as caught:
        Tokenizer.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder_is_one_line(tmp_path: Path) -> None:
    """A folder that is not there is named."""
    with pytest.raises(CheckpointError, match="is not a folder; give"):
        Tokenizer.load(tmp_path / "nowhere")
