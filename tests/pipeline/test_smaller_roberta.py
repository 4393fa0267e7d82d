"""A RoBERTa becomes smaller: byte-level tokens, positions from 2, and no token types, all the way to the gate."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from letters import LENGTH, write_questions
from stages.export.conftest import write_byte_level

from quantkit.artifact import Artifact
from quantkit.pipeline.run import run
from quantkit.recipe import Recipe
from quantkit.runtime.session import Session

torch = pytest.importorskip("torch", reason="training needs torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("scipy", reason="the search needs its solver")

ROOT = Path(__file__).resolve().parents[2]
OFFSET = 2  # of positions: the padding id and 1
TOKENS = 384
"""Of the windows that the line cuts."""


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny RoBERTa of two layers, each of 4 heads and 64 neurons."""
    folder = tmp_path_factory.mktemp("roberta")
    config = transformers.RobertaConfig(
        vocab_size=write_byte_level(folder),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=TOKENS + OFFSET,
        type_vocab_size=1,
        initializer_range=0.2,
    )
    torch.manual_seed(7)
    transformers.RobertaForQuestionAnswering(config).save_pretrained(folder)
    return folder


def ran(recipe: dict[str, Any], folder: Path) -> Any:
    return run(Recipe.model_validate(recipe), work=folder / "work")


def failed_checks(work: Path) -> list[str]:
    """Return what the gate says of every check that decides and does not pass."""
    gate = json.loads((work / "03-int8" / "reports" / "gate.json").read_text())
    return [str(one) for one in gate["checks"] if one["decides"] and one["verdict"] != "pass"]


@pytest.mark.filterwarnings("ignore")
def test_a_tiny_roberta_becomes_smaller(teacher: Path, exact_grid: str, tmp_path: Path) -> None:
    """Searched, distilled and gated; what was exported is what transformers makes of the student, padded rows too."""
    learned = str(write_questions(tmp_path / "learned.json", 20))
    asked = str(write_questions(tmp_path / "asked.json", 60, first=100))
    questions = {"data_questions": 12, "damage_questions": 6, "select_questions": 30}
    report = ran(
        {
            "name": "tiny",
            "checkpoint": str(teacher),
            "search": {
                **questions,
                **{"data": learned, "max_parameters": 34_000, "step": 16, "candidates": 1, "tokens": LENGTH},
            },
            "distill": {"data": [learned], "steps": 4, "evaluations": 1, "select_questions": 6, "threads": 1},
            "quantize": {"mode": "dynamic", "weight_type": exact_grid},
            "evaluate": {"data": asked, "threads": 1},
            # Nothing here was trained, so answers are chance.
            "gate": {"min_ratio": 0.1, "resamples": 100, "min_int8_coverage": 0.5},
        },
        tmp_path,
    )

    work = tmp_path / "work"
    assert failed_checks(work) == []
    assert report.smaller is not None
    assert report.smaller.parameters < report.smaller.teacher_parameters
    student = next(path.parent for path in sorted(work.rglob("distill.json")))
    config = json.loads((student / "config.json").read_text())
    assert (config["model_type"], config["position_offset"], config["pad_token_id"]) == (
        "decibert",
        OFFSET,
        1,
    )
    _require_equal(student, Artifact.open(work / "02-fused"))


def _require_equal(student: Path, fused: Artifact) -> None:
    """Check the graph's logits against those of transformers, of a whole row and of one that is padded."""
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(student).eval()
    ids = np.random.default_rng(0).integers(5, model.config.vocab_size, (2, LENGTH))
    mask = np.ones_like(ids)
    ids[1, LENGTH // 2 :], mask[1, LENGTH // 2 :] = 1, 0
    with torch.inference_mode():
        wanted = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
    session = Session(fused.model_path, outputs=("start_logits", "end_logits"))
    found = session.run({"input_ids": ids, "attention_mask": mask})
    for mine, theirs in zip(found, (wanted.start_logits, wanted.end_logits), strict=True):
        kept = mask.astype(bool)
        np.testing.assert_allclose(mine[kept], theirs.numpy()[kept], rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_trained_roberta_becomes_smaller(tmp_path: Path) -> None:
    """A RoBERTa with answers of its own goes the whole way, and as INT8 keeps most of the original's score."""
    checkpoint = tmp_path / "roberta"
    script = ROOT / "benchmarks" / "models" / "roberta_qa.py"
    subprocess.run(
        [sys.executable, str(script), "-o", str(checkpoint), "--steps", "200"], check=True, cwd=ROOT
    )
    questions = {"data_questions": 40, "damage_questions": 20, "select_questions": 40}
    report = ran(
        {
            "name": "roberta",
            "checkpoint": str(checkpoint),
            "search": {
                "data": "callcentre",
                "max_parameters": 950_000,
                "step": 128,
                "candidates": 1,
                **questions,
            },
            "distill": {
                "data": [str(ROOT / "calibration" / "callcentre" / "calibration.json")],
                "steps": 30,
                "evaluations": 1,
                "select_questions": 40,
                "threads": 1,
            },
            "quantize": {"mode": "static", "calib": "callcentre"},
            "evaluate": {"data": "callcentre"},
            "gate": {"min_ratio": 0.9, "min_int8_coverage": 0.9},
        },
        tmp_path,
    )
    assert failed_checks(tmp_path / "work") == []
    assert report.smaller is not None
    assert report.smaller.parameters < 950_000
