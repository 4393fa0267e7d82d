"""A recipe that makes a smaller model, with the real stages: search, distillation, gate against the original."""

import json
from pathlib import Path

import pytest
from letters import MakeCheckpoint, write_questions

from quantkit.artifact import Artifact
from quantkit.checkpoint import checkpoint_digest
from quantkit.pipeline.run import run
from quantkit.recipe import Recipe

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("scipy", reason="the search needs its solver")


@pytest.mark.filterwarnings("ignore")
def test_a_tiny_model_becomes_smaller(
    make_checkpoint: MakeCheckpoint, exact_grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer parameters, as INT8, gated against the export of the checkpoint that was named, and then kept."""
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    teacher = make_checkpoint(max_position_embeddings=384)
    learned = str(write_questions(tmp_path / "learned.json", 12))
    asked = str(write_questions(tmp_path / "asked.json", 60, first=100))
    questions = {"data_questions": 12, "damage_questions": 6, "select_questions": 6}
    recipe = Recipe.model_validate(
        {
            "name": "tiny",
            "checkpoint": str(teacher),
            "search": {"data": learned, "max_parameters": 24_000, "step": 16, "candidates": 1, **questions},
            "distill": {"data": [learned], "steps": 4, "evaluations": 1, "select_questions": 6, "threads": 1},
            "quantize": {"mode": "dynamic", "weight_type": exact_grid},
            "evaluate": {"data": asked, "threads": 1},
            # Nothing here was trained, so answers are chance.
            "gate": {"min_ratio": 0.1, "resamples": 100, "min_int8_coverage": 0.5},
        }
    )

    report = run(recipe, work=tmp_path / "work")

    gate = json.loads((tmp_path / "work" / "03-int8" / "reports" / "gate.json").read_text())
    failed = [check for check in gate["checks"] if check["decides"] and check["verdict"] != "pass"]
    assert failed == []
    assert report.smaller is not None
    assert report.smaller.parameters < report.smaller.teacher_parameters
    assert report.smaller.teacher == checkpoint_digest(str(teacher))
    exported = Artifact.open(tmp_path / "work" / "03-int8").manifest.stage("export")
    assert exported is not None
    assert exported.facts["teacher_digest"] == checkpoint_digest(str(teacher))
    assert gate["baseline"] == Artifact.open(tmp_path / "work" / "00-original-fused").digest
    again = run(recipe, work=tmp_path / "work")
    assert {step.step for step in again.steps if step.action == "run"} == {"gate"}
