"""An evaluation on SQuAD 2.0 has the parts of the official script, and the threshold of the artifact counts."""

import json
from pathlib import Path

import pytest

from quantkit.artifact import StageRecord
from quantkit.recipe.settings import EvaluateSettings
from quantkit.stages.evaluate import evaluate
from tests.tiny_models import save_tiny


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file with two questions that the text answers and one that it does not."""
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    asked = [
        {"id": "a", "question": "who wrote it?", "answers": [{"text": "ann"}]},
        {"id": "b", "question": "who?", "answers": [{"text": "it"}]},
        {"id": "c", "question": "bad?", "answers": [], "is_impossible": True},
    ]
    paragraph = {"context": "ann wrote it.", "qas": asked}
    path = tmp_path / "v2.json"
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}))
    return path


@pytest.mark.parametrize(("threshold", "right"), [(-1000.0, 1), (1000.0, 0)])
def test_parts_and_threshold(questions: Path, tmp_path: Path, threshold: float, right: int) -> None:
    """Below every margin no question is answered, above every one all are; both evaluations name one best threshold."""
    made = save_tiny(
        tmp_path / "tiny",
        task="squad",
        stages=(StageRecord(stage="export", facts={"null_score_diff_threshold": threshold}),),
    )
    found = evaluate(made, settings=EvaluateSettings(data=str(questions)))
    assert [score.answer == "" for score in found.scores] == [bool(right)] * 3
    assert {name: part.questions for name, part in found.parts.items()} == {"HasAns": 2, "NoAns": 1}
    assert found.parts["NoAns"].f1 == 100 * right
    assert found.settings["features"]["null_score_diff_threshold"] == threshold
    total = sum(part.f1 * part.questions for part in found.parts.values())
    assert found.f1 == pytest.approx(total / 3, abs=1e-9)
    assert found.best_threshold is not None
    assert found.best_threshold.f1 >= found.f1
    again = evaluate(made, settings=EvaluateSettings(data=str(questions)))
    assert again == found  # the cached one is believed
