"""Labels: where the answers of a file stand in the windows."""

import json
from pathlib import Path

import pytest
from letters import WORDS

from quantkit.tasks import WindowSettings, task
from quantkit.tasks.squad import SquadWindow
from quantkit.tasks.tokenizer import Tokenizer

SQUAD = task("squad")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return Tokenizer.load(tmp_path)


def labels(
    folder: Path, tokenizer: Tokenizer, context: str, answer: str, room: int = 40
) -> list[list[list[str]]]:
    """Return for each window the texts between the first and last tokens that are right."""
    qas = [{"id": "1", "question": "a ?", "answers": [{"text": answer, "answer_start": 99}]}]
    article = {"title": "t", "paragraphs": [{"context": context, "qas": qas}]}
    path = folder / "q.json"
    path.write_text(json.dumps({"data": [article]}))
    dataset = SQUAD.read(path, "q")
    windows = SQUAD.cut(dataset, tokenizer, WindowSettings(max_length=room, doc_stride=3, max_query_length=2))
    found = []
    for window, (firsts, lasts) in zip(windows, SQUAD.right(dataset, windows), strict=True):
        assert isinstance(window, SquadWindow)
        spans = zip(firsts, lasts, strict=True)
        found.append(
            [
                [
                    context[window.offsets[place - window.first, 0] : window.offsets[place - window.first, 1]]
                    for place in range(first, last + 1)
                ]
                for first, last in spans
            ]
        )
    return found


def test_every_place_of_the_answer_is_right(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Starts in the file are not believed: wherever the text stands it is right, also inside of a word's pieces."""
    assert labels(tmp_path, tokenizer, "ab c ab", "ab") == [[["a", "b"], ["a", "b"]]]
    assert labels(tmp_path, tokenizer, "ab c d", "b c") == [[["b", "c"]]]


def test_a_window_without_the_whole_answer_has_none(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """An answer that a window cuts off is no label of that window."""
    assert labels(tmp_path, tokenizer, "a b c d e f g", "f g", room=9) == [[], [["f", "g"]]]
    assert labels(tmp_path, tokenizer, "a b c", "h") == [[]]
