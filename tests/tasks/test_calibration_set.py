"""Calibration sets: which questions are chosen."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from quantkit.errors import DatasetError
from quantkit.pinned import DATASETS
from quantkit.shipped import calibration_folder
from quantkit.tasks import calibration_set
from quantkit.tasks.calibration_set import by_hash, content_digest, names, select
from quantkit.tasks.datasets import load

QUESTIONS = {f"Question {number}?": ["Ann"] for number in range(150)}


@pytest.fixture
def path(write_squad: Callable[..., Path]) -> Path:
    """Return a file of 150 questions."""
    return write_squad({"Ann wrote.": QUESTIONS}, "calls.json")


def test_a_file_is_sampled_by_hash(path: Path) -> None:
    """The chosen ones have the smallest sha256 of seed and id; another seed chooses others."""
    chosen = select(str(path), "squad", 10, seed=3)
    ids = [f"q0-{number}" for number in range(150)]
    ranked = sorted(ids, key=lambda name: hashlib.sha256(f"3:{name}".encode()).hexdigest())
    assert tuple(ranked[:10]) == chosen.ids
    assert (chosen.name, len(chosen.dataset.questions)) == ("calls", 10)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == chosen.source_digest != chosen.dataset.digest
    assert chosen.ids != select(str(path), "squad", 10, seed=4).ids


def test_fewer_are_the_first_of_more(path: Path) -> None:
    """A smaller sample is the beginning of a greater one, and the default is 100."""
    assert select(str(path), "squad").ids[:7] == select(str(path), "squad", 7).ids
    assert len(select(str(path), "squad").ids) == 100
    assert len(select(str(path), "squad", 150).ids) == 150


def test_the_order_of_the_file_does_not_matter() -> None:
    """Hash sampling of shuffled ids gives the same order."""
    assert by_hash(["a", "b", "c", "d"], 0) == by_hash(["d", "b", "a", "c"], 0)


def test_a_small_file_is_taken_whole_unless_more_is_asked_for(write_squad: Callable[..., Path]) -> None:
    """Without a count, a file of 3 calibrates on 3; asking for 4 is an error."""
    path = write_squad({"Ann wrote.": {"A?": ["Ann"], "B?": ["Ann"], "C?": ["Ann"]}})
    assert len(select(str(path), "squad").ids) == 3
    with pytest.raises(
        DatasetError, match="questions: has 3 questions to calibrate on, not 4; ask for fewer"
    ):
        select(str(path), "squad", 4)


@pytest.mark.parametrize("count", [0, -1])
def test_no_question_is_an_error(path: Path, count: int) -> None:
    """Calibration on nothing is refused."""
    with pytest.raises(DatasetError, match=f"cannot calibrate on {count} questions; give 1 or more"):
        select(str(path), "squad", count)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    """An empty calibration file is refused in one line."""
    (tmp_path / "none.json").write_text("")
    with pytest.raises(DatasetError, match=r"none.json: is empty; give"):
        select(str(tmp_path / "none.json"), "squad")


def test_unknown_names_have_a_hint() -> None:
    """A mistyped set is answered with the nearest name."""
    with pytest.raises(DatasetError, match="there is no such calibration set; did you mean 'squad-train'"):
        select("squad-trian", "squad")
    with pytest.raises(DatasetError, match="there is no such calibration set; give the path"):
        select("", "squad")


def test_a_set_of_another_task_is_an_error() -> None:
    """SQuAD's sets do not calibrate a classifier."""
    with pytest.raises(
        DatasetError, match="is a calibration set for squad, not for text-classification; give"
    ):
        select("squad", "text-classification")


@pytest.mark.parametrize("name", names())
def test_every_shipped_selection_is_valid(name: str) -> None:
    """Each selection.yaml has the schema and names a known dataset or a file beside it."""
    folder = calibration_folder() / name
    selection = calibration_set._read_selection(folder / "selection.yaml")
    assert selection.dataset in DATASETS or (folder / selection.dataset).is_file()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "selection.yaml: is empty"),
        ("dataset: [", "selection.yaml: is not YAML"),
        (
            "dataset: squad\ntask: squad\ncount: 0\nchoose: hashed",
            "count: Input should be greater than or equal to 1",
        ),
        ("dataset: squad\ntask: squad\ncount: 1\nchoose: listed", "`choose: listed` and `ids` go together"),
        (
            "dataset: squad\ntask: squad\ncount: 1\nchoose: hashed\nsede: 1",
            "sede: Extra inputs are not permitted",
        ),
    ],
)
def test_a_bad_selection_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: str
) -> None:
    """A broken selection.yaml is named, with the key."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "selection.yaml").write_text(text)
    monkeypatch.setattr(calibration_set, "calibration_folder", lambda: tmp_path)
    with pytest.raises(DatasetError, match=line):
        select("mine", "squad")


def test_a_set_may_hold_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_squad: Callable[..., Path]
) -> None:
    """A selection over a file beside it is called by the folder's name."""
    folder = tmp_path / "mine"
    folder.mkdir()
    write_squad({"Ann wrote.": QUESTIONS}).rename(folder / "calls.json")
    (folder / "selection.yaml").write_text("dataset: calls.json\ntask: squad\ncount: 20\nchoose: hashed\n")
    monkeypatch.setattr(calibration_set, "calibration_folder", lambda: tmp_path)
    chosen = select("mine", "squad")
    assert (chosen.name, len(chosen.ids)) == ("mine", 20)


@pytest.mark.real
def test_squad_is_the_official_list_of_mlperf(shared: Path) -> None:
    """`squad` is MLPerf's 100 development questions in the list's order, whatever the seed."""
    chosen = select("squad", "squad", data_dir=shared / "data", seed=5)
    listed = (shared / "data" / "mlperf" / "bert_calibration_qas_ids.txt").read_text().split()
    assert tuple(listed) == chosen.ids
    assert tuple(listed[:8]) == select("squad", "squad", 8, shared / "data").ids
    with pytest.raises(DatasetError, match="has 100 questions to calibrate on, not 101"):
        select("squad", "squad", 101, shared / "data")


def test_callcentre_calibrates_on_other_questions_than_it_is_evaluated_on() -> None:
    """The shipped call-centre set has 100 questions, none of which is in the shipped evaluation set."""
    chosen = select("callcentre", "squad")
    evaluated = {question.id for question in load("callcentre", "squad").questions}
    assert len(chosen.ids) == 100
    assert not evaluated & set(chosen.ids)


def test_content_of_a_file_is_its_bytes(path: Path, tmp_path: Path) -> None:
    """What questions are chosen from is known by what is in it, not by what it is called."""
    copy = tmp_path / "copy.json"
    copy.write_bytes(path.read_bytes())
    before = content_digest(str(path))
    assert content_digest(str(copy)) == before
    path.write_bytes(path.read_bytes() + b"\n")
    assert content_digest(str(path)) != before
    with pytest.raises(DatasetError, match="squat: there is no such calibration set; did you mean 'squad'"):
        content_digest("squat")


def test_content_of_a_set_is_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_squad: Callable[..., Path]
) -> None:
    """A shipped set is another one when how it chooses changes, or what it chooses from."""
    folder = tmp_path / "mine"
    folder.mkdir()
    definition, questions = folder / "selection.yaml", folder / "questions.json"
    definition.write_text("dataset: questions.json\ntask: squad\ncount: 1\nchoose: hashed\n")
    questions.write_bytes(write_squad({"Ann wrote.": {"Who?": ["Ann"]}}).read_bytes())
    monkeypatch.setattr(calibration_set, "calibration_folder", lambda: tmp_path)
    digests = {content_digest("mine")}
    questions.write_bytes(questions.read_bytes() + b"\n")
    digests.add(content_digest("mine"))
    definition.write_text(definition.read_text().replace("count: 1", "count: 2"))
    digests.add(content_digest("mine"))
    assert len(digests) == 3
