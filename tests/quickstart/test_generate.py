"""Tests of quantkit.quickstart.generate."""

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from quantkit.errors import DatasetError
from quantkit.quickstart import generate
from quantkit.quickstart.generate import CALIBRATION, HELDOUT, Passage, departments, write_training
from quantkit.quickstart.values import Dice, hire_writer, in_heldout, roll
from quantkit.tasks.squad import TASK


def read_paragraphs(path: Path) -> list[dict[str, Any]]:
    """Return the paragraphs of a committed file."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    return [paragraph for article in articles for paragraph in article["paragraphs"]]


def read_questions(path: Path) -> list[dict[str, Any]]:
    """Return the questions of a committed file."""
    return [question for paragraph in read_paragraphs(path) for question in paragraph["qas"]]


@pytest.mark.parametrize("path", [CALIBRATION, HELDOUT], ids=lambda path: path.stem)
def test_committed_file_is_reproduced(path: Path) -> None:
    """The generator writes the committed bytes."""
    assert generate.committed_files()[path].encode() == path.read_bytes()


def test_check_passes_on_the_committed_files() -> None:
    """`--check` accepts what is committed."""
    assert generate.main(["--check"]) == 0


def test_check_names_a_file_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` fails with exit code 2 and one line naming the file, and writes nothing."""
    monkeypatch.setattr(generate, "HELDOUT", tmp_path / "heldout.json")
    assert generate.main(["--check"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "heldout.json" in error
    assert list(tmp_path.iterdir()) == []


def test_same_seed_same_passages() -> None:
    """Training passages depend on the seed alone."""

    def take(seed: str) -> list[Passage]:
        return list(itertools.islice(write_training(seed, 3, long=0.2), 20))

    assert take("a") == take("a")
    assert take("a") != take("b")


@pytest.mark.parametrize("path", [CALIBRATION, HELDOUT], ids=lambda path: path.stem)
def test_answers_stand_where_they_say(path: Path) -> None:
    """Every answer is found at its `answer_start`."""
    for paragraph in read_paragraphs(path):
        for question in paragraph["qas"]:
            for answer in question["answers"]:
                start = answer["answer_start"]
                assert paragraph["context"][start : start + len(answer["text"])] == answer["text"]


def test_sizes_of_the_parts() -> None:
    """Calibration has 120 questions, held-out 400 to 600 in an article per department, many with several."""
    assert len(read_questions(CALIBRATION)) == 120
    assert 400 <= len(read_questions(HELDOUT)) <= 600
    assert len(departments()) == len(json.loads(HELDOUT.read_text(encoding="utf-8"))["data"]) >= 12
    assert sum(len(question["answers"]) > 1 for question in read_questions(HELDOUT)) >= 50


def test_parts_share_no_id_and_no_passage() -> None:
    """Nothing that is calibrated or trained on is evaluated."""
    ids = Counter(question["id"] for path in (CALIBRATION, HELDOUT) for question in read_questions(path))
    passages = Counter(
        paragraph["context"] for path in (CALIBRATION, HELDOUT) for paragraph in read_paragraphs(path)
    )
    assert max(ids.values()) == 1
    assert max(passages.values()) == 1
    training = {passage.context for passage in itertools.islice(write_training("x", 1), 300)}
    assert training.isdisjoint(passages)


@pytest.mark.parametrize(
    "kind", ["agent", "product", "device", "plan", "city", "phone", "code CASE 5", "money 5 90"]
)
def test_open_ended_values_belong_to_one_part(kind: str) -> None:
    """No name, product, place, number or amount of the held-out part can occur in another part."""
    held = {
        roll(kind, hire_writer(Dice(f"{seed}"), "heldout")).text.strip("£$€").split(" euros")[0]
        for seed in range(60)
    }
    other = {
        roll(kind, hire_writer(Dice(f"{seed}"), "training")).text.strip("£$€").split(" euros")[0]
        for seed in range(60)
    }
    assert all(map(in_heldout, held))
    assert not any(map(in_heldout, other))


def test_slot_values_of_a_passage_differ() -> None:
    """No two questions of a passage have the same full answer unless they ask for the same thing."""
    for passage in itertools.islice(write_training("y", 50, size=(1.0, 1.0)), 40):
        places: dict[str, set[int]] = {}
        for question in passage.questions:
            places.setdefault(question.answers[0].text, set()).add(question.answers[0].answer_start)
        assert all(len(starts) == 1 for starts in places.values())


def test_unknown_slot_type_is_one_line() -> None:
    """A slot type that does not exist is named."""
    with pytest.raises(DatasetError, match="unknown slot type 'colour'"):
        roll("colour", hire_writer(Dice("0"), "training"))


def test_undeclared_slot_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence that names an undeclared slot is refused with the department, the sentence and the slot."""
    cases = {
        "shared": {"slots": {}, "facts": [], "filler": {"note": [], "talk": [], "guide": []}},
        "departments": [
            {
                "title": "Tests",
                "topics": ["a test"],
                "slots": {},
                "facts": [{"note": ["It is {gone}."], "ask": {}}],
            }
        ],
    }
    path = tmp_path / "cases.yaml"
    path.write_text(yaml.safe_dump(cases), encoding="utf-8")
    monkeypatch.setattr(generate, "_CASES", path)
    departments.cache_clear()
    try:
        with pytest.raises(DatasetError, match=r"Tests: 'It is \{gone\}\.' names unknown slots \['gone'\]"):
            departments()
    finally:
        departments.cache_clear()


def test_read_by_the_task() -> None:
    """The squad task reads both files as they are."""
    assert len(TASK.read(HELDOUT, "callcentre").questions) == len(read_questions(HELDOUT))
    assert len(TASK.read(CALIBRATION, "calibration").questions) == 120


def test_every_question_form_is_settled() -> None:
    """No bracket, brace or double space of a template reaches a reader."""
    for path in (CALIBRATION, HELDOUT):
        text = json.dumps(
            [
                (item["context"], [question["question"] for question in item["qas"]])
                for item in read_paragraphs(path)
            ]
        )
        assert not {"{", "}", "  "} & {
            text[index : index + size] for size in (1, 2) for index in range(len(text))
        }
        assert "|" not in text
