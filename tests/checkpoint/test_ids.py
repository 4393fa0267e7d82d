"""Token ids are those of transformers: for every text of the battery, or export refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.errors import CheckpointError
from quantkit.shipped import quickstart_model
from quantkit.tasks.tokenizer import Tokenizer

pytest.importorskip("transformers")

from quantkit.checkpoint.ids import compare_ids

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "b",
    "A",
    "##b",
    "cafe",
    "café",
    "東",
    "京",
    "usr",
]
WORDS += [chr(code) for code in range(ord("c"), ord("z") + 1)] + ["[", "]", "[USR]"]

Change = Callable[[Path], object]


def settings(**values: Any) -> Change:
    return lambda folder: (folder / "tokenizer_config.json").write_text(json.dumps(values))


def marker(special: bool) -> Change:
    """Add `[USR]` as transformers saves an added token."""

    def change(folder: Path) -> None:
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens(["[USR]", "<new>"], special_tokens=special)
        tokenizer.save_pretrained(folder)

    return change


def contradict(**values: Any) -> Change:
    """Save tokenizer.json with the usual settings, then let tokenizer_config.json say something else."""

    def change(folder: Path) -> None:
        import transformers

        transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def folder_of(place: Path, *changes: Change) -> Path:
    place.mkdir()
    (place / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    (place / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": len(WORDS)}))
    for change in changes:
        change(place)
    return place


def read_by_transformers(folder: Path, *texts: str) -> list[list[int]]:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def read_by_us(folder: Path, *texts: str) -> list[list[int]]:
    return [ids.tolist() for ids in Tokenizer.load(folder).encode_ids(texts)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: None, id="vocab.txt alone"),
        pytest.param(settings(do_lower_case=False), id="cased"),
        pytest.param(settings(do_lower_case=True, strip_accents=False), id="accents kept"),
        pytest.param(settings(do_lower_case=False, strip_accents=True), id="accents stripped, cased"),
        pytest.param(settings(tokenize_chinese_chars=False), id="CJK not split"),
        pytest.param(settings(split_special_tokens=True), id="special tokens are text"),
        pytest.param(contradict(), id="tokenizer.json"),
        pytest.param(marker(special=True), id="special marker"),
        pytest.param(marker(special=False), id="plain marker"),
    ],
)
def test_files_are_read_as_transformers_reads_them(change: Change, tmp_path: Path) -> None:
    """Nothing has to be rewritten for what transformers itself writes, and texts with markers are read alike."""
    folder = folder_of(tmp_path / "checkpoint", change)
    found = compare_ids(folder, token_types=True)
    assert (found.written, found.tokenizer) == (None, "BertTokenizer")
    texts = ("[USR] a", "a[SEP]b", "[MASK]", "<new> a", "CAFÉ 東京")
    assert read_by_us(folder, *texts) == read_by_transformers(folder, *texts)


def test_a_special_token_in_a_text_is_that_token(tmp_path: Path) -> None:
    """`[SEP]` in a text is token 3, as in transformers, and not a bracket and letters."""
    assert read_by_us(folder_of(tmp_path / "checkpoint"), "a [SEP] b") == [[5, 3, 6]]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"do_lower_case": False}, "A"),
        ({"strip_accents": False}, "café"),
        ({"tokenize_chinese_chars": False}, "東京"),
    ],
    ids=str,
)
def test_where_files_contradict_each_other_transformers_is_followed(
    said: dict[str, Any], text: str, tmp_path: Path
) -> None:
    """tokenizer.json says one thing and tokenizer_config.json another: what is written reads as transformers does."""
    folder = folder_of(tmp_path / "checkpoint", contradict(**said))
    wanted = read_by_transformers(folder, text)
    found = compare_ids(folder, token_types=True)
    assert found.written is not None
    mended = shutil.copytree(folder, tmp_path / "mended")
    (mended / "tokenizer.json").write_text(found.written, encoding="utf-8")
    assert (read_by_us(mended, text), read_by_us(folder, text) != wanted) == (wanted, True)


def test_a_tokenizer_with_code_of_its_own_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no tokenizer.json can say is refused, even where the battery would be read alike."""
    import transformers

    class JapaneseTokenizer:
        """Has no tokenizer of the `tokenizers` library behind it."""

    monkeypatch.setattr(
        transformers.AutoTokenizer, "from_pretrained", lambda *args, **kwargs: JapaneseTokenizer()
    )
    with pytest.raises(CheckpointError, match="is a JapaneseTokenizer, which reads texts by code of its own"):
        compare_ids(folder_of(tmp_path / "checkpoint"), token_types=True)


def test_a_difference_that_nothing_mends_is_refused_with_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line has the text, and the ids of both from the first token that differs."""
    monkeypatch.setattr(Tokenizer, "row", lambda self, first, second=None: (first, first * 0))
    with pytest.raises(
        CheckpointError, match=r"BertTokenizer reads '' as other ids .*\(\[2, 3\] and \[\] from token 0\)"
    ):
        compare_ids(folder_of(tmp_path / "checkpoint"), token_types=True)


def test_the_quickstart_model_is_read_as_it_is() -> None:
    """The shipped model's files agree with transformers, so the artifact has them byte for byte."""
    assert compare_ids(quickstart_model(), token_types=True).written is None
