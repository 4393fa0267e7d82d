"""Lengths: what fits a model's positions and its tokenizer, and what the manifest then says."""

import json
from pathlib import Path

import pytest

from quantkit.artifact import StageRecord
from quantkit.errors import ArtifactError, UsageError
from quantkit.records import Evaluation
from quantkit.tasks import WindowSettings, task
from quantkit.tasks.lengths import fit, lengths_in_key, lengths_of, said
from quantkit.tasks.prepared import Reader
from quantkit.tasks.tokenizer import Tokenizer
from tests.tiny_models import QUESTIONS, WORDS, save_tiny

SQUAD, TEXTS = task("squad"), task("text-classification")


def tokenizer_of(folder: Path, positions: int, **settings: object) -> Tokenizer:
    """Return a WordPiece tokenizer beside a BERT of so many positions."""
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    config = {"model_type": "bert", "type_vocab_size": 2, "max_position_embeddings": positions}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return Tokenizer.load(folder)


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        (64, (64, 21, 21)),
        (128, (128, 42, 42)),
        (256, (256, 85, 64)),
        (384, (384, 128, 64)),
        (512, (384, 128, 64)),
        (8192, (384, 128, 64)),
    ],
)
def test_a_short_model_gets_short_rows(
    tmp_path: Path, positions: int, expected: tuple[int, int, int]
) -> None:
    """A model with room keeps the task's usual lengths; below that all three shrink, and windows overlap."""
    found = fit(SQUAD, tokenizer_of(tmp_path / "m", positions), {})
    assert (found.max_length, found.doc_stride, found.max_query_length) == expected
    assert (found.n_best, found.max_answer_length) == (20, 30)


@pytest.mark.parametrize("length", [128, 1000000000000000019884624838656, 0, None])
def test_a_tokenizer_says_what_it_is_meant_for(tmp_path: Path, length: object) -> None:
    """`model_max_length` counts where it is a limit; what nobody set, or is no number, is none."""
    tokenizer = tokenizer_of(tmp_path / "m", 512, model_max_length=length)
    assert fit(TEXTS, tokenizer, {}).max_length == (128 if length == 128 else 384)
    assert fit(TEXTS, tokenizer, {"max_length": 512}).max_length == 512  # only positions are a wall


@pytest.mark.parametrize(
    ("of_task", "asked", "error"),
    [
        (
            SQUAD,
            {"max_length": 65},
            "max_length: is 65, but the model in .* has 64 positions; lower max_length",
        ),
        (
            SQUAD,
            {"max_length": 20, "max_query_length": 17},
            "max_length: 20 leaves no room for the text beside",
        ),
        (SQUAD, {"doc_stride": 40}, "doc_stride: is 40, but a window has 40 tokens .* give at most 39"),
        (TEXTS, {"max_length": 3}, "max_length: 3 leaves no room for text; raise it"),
        (TEXTS, {"doc_stride": 9}, "doc_stride: text-classification cuts no text into windows; leave it out"),
    ],
)
def test_unfit_lengths_are_refused(
    tmp_path: Path, of_task: object, asked: dict[str, int], error: str
) -> None:
    """Rows must fit the positions and hold text, windows must overlap, and a length must mean something."""
    with pytest.raises(UsageError, match=error):
        fit(of_task, tokenizer_of(tmp_path / "m", 64), asked)  # type: ignore[arg-type]


def test_the_manifest_says_the_lengths(tmp_path: Path) -> None:
    """A reader takes its lengths from the manifest, the last word counts, and one that says none has the defaults."""
    old = save_tiny(tmp_path / "old", task="squad")
    assert (lengths_of(old), lengths_in_key(old)) == (WindowSettings(), {})
    chosen = WindowSettings(max_length=64, doc_stride=16, max_query_length=20)
    stages = tuple(
        StageRecord(stage="export", facts=facts)
        for facts in ({"lengths": {"max_length": 9}}, said(SQUAD, chosen))
    )
    made = save_tiny(tmp_path / "made", task="squad", stages=(*stages, StageRecord(stage="fuse")))
    assert Reader.of(made).settings == chosen
    assert lengths_in_key(made) == {"features": chosen.as_json()}
    assert said(TEXTS, chosen) == {"lengths": {"max_length": 64}}


def test_the_manifest_says_the_threshold_of_no_answer(tmp_path: Path) -> None:
    """It is a fact of its own where it is not 0, a reader takes it, and it is in keys."""
    chosen = WindowSettings(null_score_diff_threshold=-1.5)
    made = save_tiny(
        tmp_path / "made", task="squad", stages=(StageRecord(stage="export", facts=said(SQUAD, chosen)),)
    )
    assert Reader.of(made).settings == chosen
    assert lengths_in_key(made)["features"]["null_score_diff_threshold"] == -1.5
    assert fit(SQUAD, tokenizer_of(tmp_path / "m", 512), {"null_score_diff_threshold": -1.5}) == chosen


@pytest.mark.parametrize("lengths", [{"max_length": 0}, {"max_length": "9"}, {"longest": 9}, 9])
def test_a_manifest_with_odd_lengths_is_refused(tmp_path: Path, lengths: object) -> None:
    """Lengths of a manifest are whole numbers of 1 or more, with the names that there are."""
    made = save_tiny(
        tmp_path / "a", stages=(StageRecord(stage="export", facts={"lengths": {"max_length": 9}}),)
    )
    content = json.loads((made.path / "manifest.json").read_text())
    content["stages"][0]["facts"]["lengths"] = lengths
    (made.path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="was changed: stages"):
        type(made).open(made.path)


def test_what_is_too_long_is_counted(tmp_path: Path) -> None:
    """Texts longer than a row count once each, those that fill it do not; of questions their own tokens count."""
    said_lengths = StageRecord(stage="export", facts={"lengths": {"max_length": 4}})
    texts = save_tiny(tmp_path / "texts", stages=(said_lengths,))
    (tmp_path / "t.jsonl").write_text(
        "".join(
            json.dumps({"text": text, "label": "good"}) + "\n" for text in ("good bad", "good bad it", "it")
        )
    )
    reader = Reader.of(texts)
    assert reader.prepare(TEXTS.read(tmp_path / "t.jsonl", "t")).truncated == 1
    short = WindowSettings(max_length=12, doc_stride=1, max_query_length=2)
    facts = said(SQUAD, short)
    asked = save_tiny(tmp_path / "asked", task="squad", stages=(StageRecord(stage="export", facts=facts),))
    (tmp_path / "q.json").write_text(QUESTIONS.replace("ann wrote it.", "ann wrote it." * 9))
    prepared = Reader.of(asked).prepare(SQUAD.read(tmp_path / "q.json", "q"))
    assert len(prepared.rows) > 1
    assert prepared.truncated == 1


def test_evaluation_and_gate_tell_of_what_was_cut() -> None:
    """People read `truncated: 41 of 1,000`; of none, or where nobody counted, nothing is said."""
    assert [evaluation_of(truncated).truncated_words for truncated in (41, 0, None)] == [
        "41 of 1,000",
        "",
        "",
    ]


def evaluation_of(truncated: int | None) -> Evaluation:
    """Return an evaluation of 1,000 texts."""
    return Evaluation(
        key="0",
        artifact="0",
        task=TEXTS.name,
        dataset="0",
        dataset_name="d",
        f1=50,
        exact_match=50,
        questions=1000,
        features=1000,
        truncated=truncated,
        seconds=1,
        features_per_second=1,
        predictions_sha256="0",
    )
