"""A metric of one's own: found without being run, run only when allowed, and given plain values of each task."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from quantkit.errors import EvaluationError, UsageError
from quantkit.records import QuestionScore
from quantkit.tasks import task
from quantkit.tasks.own_metric import OwnMetric, content_digest
from quantkit.tasks.own_metric.source import find_source, loaded
from quantkit.tasks.own_metric.values import values_of

SCORE = "def score(predictions, references):\n    return [float(p == r) for p, r in zip(predictions, references)]\n"
POISON = "raise SystemExit('it ran')\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_runs_that_is_not_allowed(here: Path) -> None:
    """Without --allow-code a metric is one line; nothing is imported, and nothing even looked for."""
    (here / "poison.py").write_text(POISON)
    for named in ("poison:score", "nowhere:score"):
        with pytest.raises(UsageError, match=rf"metric {named}: would run Python code; .* --allow-code"):
            OwnMetric.allowed(named, allow_code=False)
    assert OwnMetric.allowed(None, allow_code=False) is None


def test_a_digest_runs_nothing(here: Path) -> None:
    """A plan and a key read the file's bytes: neither it nor the packages it is in are imported."""
    (here / "pack").mkdir()
    for name in ("poison.py", "pack/__init__.py", "pack/inner.py"):
        (here / name).write_text(POISON)
    before = set(sys.modules)
    assert len({content_digest(name) for name in ("poison:score", "poison:other")}) == 2
    assert find_source("pack.inner:score").name == "pack.inner:score"
    assert set(sys.modules) == before


def test_what_has_the_digest_is_what_runs(here: Path) -> None:
    """The file may change after it was read; the function does not."""
    (here / "mine.py").write_text(SCORE)
    source = find_source("mine:score")
    (here / "mine.py").write_text(POISON)
    assert loaded(source)(["a"], ["a"]) == [1.0]


def test_a_module_beside_it_is_found(here: Path) -> None:
    """The file may import others of its folder, and leaves the path as it was."""
    (here / "sub").mkdir()
    (here / "sub" / "beside_own_metric.py").write_text("WORTH = 1.0\n")
    (here / "sub" / "mine.py").write_text(
        "from beside_own_metric import WORTH\ndef score(p, r):\n    return WORTH\n"
    )
    before = list(sys.path)
    assert loaded(find_source("sub/mine.py:score"))([], []) == 1.0
    assert sys.path == before


@pytest.mark.parametrize(
    ("named", "content", "kind", "said"),
    [
        ("mine", SCORE, UsageError, "mine: is no function; write module:function, such as my_metric:score"),
        ("mine:", SCORE, UsageError, "is no function"),
        (
            "other:score",
            SCORE,
            UsageError,
            "other:score: there is no file other.py here or beside the recipe, and no module",
        ),
        ("json.decoder.x:score", SCORE, UsageError, "there is no"),
        ("./other.py:score", SCORE, UsageError, "there is no file other.py"),
        ("mine:scores", SCORE, EvaluationError, "mine.py: has no function scores"),
        ("mine:score", "def score(:\n", EvaluationError, "mine.py: raised SyntaxError"),
        ("mine:score", POISON, EvaluationError, "mine.py: raised SystemExit: it ran"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    here: Path, named: str, content: str, kind: type[Exception], said: str
) -> None:
    """Whoever names a function that is not there reads which file was looked for, or what it did."""
    (here / "mine.py").write_text(content)
    with pytest.raises(kind, match=said):
        OwnMetric.allowed(named, allow_code=True)


def score(answer: str, *measures: float) -> QuestionScore:
    return QuestionScore(id="q", group="q", answer=answer, exact_match=0, f1=0, measures=measures)


@pytest.mark.parametrize(
    ("name", "row", "given", "values"),
    [
        (
            "squad",
            {
                "id": "1",
                "question": "Who?",
                "context": "Ann and Bob",
                "answers": {"text": ["Ann", "Ann and Bob"]},
            },
            score("Bob"),
            ("Bob", ["Ann", "Ann and Bob"], "Ann"),
        ),
        ("text-classification", {"text": "a", "label": 1}, score("no"), ("no", "yes", "yes")),
        (
            "multi-label-classification",
            {"text": "a", "labels": ["yes"]},
            score("no, yes", 0, 1, 0, 1, 0, 0),
            (["no", "yes"], ["yes"], ["yes"]),
        ),
        ("text-regression", {"text": "a", "score": 2.5}, score("2.4", 2.41, 2.5), (2.41, 2.5, 2.5)),
        (
            "reranking",
            {"query": "a", "positive": ["b"], "negative": ["c"]},
            score("2", 1, 1, 1, 1),
            (1, [1.0, 0.0], 0),
        ),
        (
            "sentence-similarity",
            {"sentence1": "a", "sentence2": "b", "score": 4},
            score("", 0.5, 4),
            (0.5, 4.0, 4.0),
        ),
    ],
)
def test_values_are_plain(
    here: Path, name: str, row: dict[str, Any], given: QuestionScore, values: tuple[Any, ...]
) -> None:
    """A function gets texts, names, numbers and lists of them, whatever the task."""
    (here / "rows.jsonl").write_text(json.dumps(row) + "\n")
    dataset = task(name).read(here / "rows.jsonl", "rows")
    found = values_of(dataset, [given], ("no", "yes"))
    assert (found.predictions, found.references, found.right) == tuple((value,) for value in values)


def test_entities_are_lists(here: Path) -> None:
    """Of NER a function gets entities by words, on both sides."""
    (here / "rows.jsonl").write_text(
        json.dumps({"tokens": ["Ada", "Lovelace", "left"], "ner_tags": [1, 2, 0]})
    )
    dataset = task("token-classification").read(here / "rows.jsonl", "rows")
    found = values_of(dataset, [score("PER 0, LOC 2")], ("O", "B-PER", "I-PER", "B-LOC"))
    assert (found.predictions, found.references) == ((["PER 0", "LOC 2"],), (["PER 0-1"],))
