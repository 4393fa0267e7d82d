"""quantkit distill: options reach the stage; the table and the JSON are its report."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from quantkit.cli.main import main
from quantkit.recipe.distill_settings import DistillSettings
from quantkit.records import DistillReport
from quantkit.records.distill import Evaluated, Speeds
from quantkit.shipped import quickstart_model

REPORT = DistillReport(
    student="a" * 64,
    teacher="b" * 64,
    task="squad",
    layers=(0, 1),
    blocks=("layer 0 attention",),
    data={"d": "c" * 64},
    questions=1200,
    rows=1234,
    selection_questions=400,
    block_steps=10,
    whole_steps=90,
    steps_done=100,
    epochs=1.5,
    ended="finished",
    best_step=60,
    teacher_score=Evaluated(step=0, f1=80.0, expected_f1=75.0),
    evaluations=(
        Evaluated(step=0, f1=50.0, expected_f1=45.0),
        Evaluated(step=60, f1=79.0, expected_f1=74.5, loss=0.2),
        Evaluated(step=100, f1=79.5, expected_f1=74.0, loss=0.1),
    ),
    losses={"logits": 0.1, "hidden": 0.02},
    seconds=12.3,
    rows_per_second=16.0,
    tokens_per_second=3210.0,
    speeds=Speeds(),
    precision="bfloat16",
    device="cpu",
    threads=1,
    peak_memory_bytes=10**9,
)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the stage by one that keeps what it was called with and returns a report at once."""
    found: list[dict[str, Any]] = []

    def distill(family: Any, out: Path, **options: Any) -> DistillReport:
        found.append(
            {"student": family.student, "teacher": family.teacher, "task": family.task, "out": out, **options}
        )
        return REPORT

    stage = types.ModuleType("quantkit.stages.distill")
    stage.distill = distill
    stage.Family = types.SimpleNamespace
    monkeypatch.setitem(sys.modules, "quantkit.stages.distill", stage)
    return found


def test_options_become_settings(calls) -> None:
    """Every option is a field of the section, those that can be repeated too; JSON is the report."""
    options = (
        "--teacher t --data a.json --data b.json --select s.json --gate-data g.json --layer 0 --layer 2 --steps 9 "
        "--label-weight 0.5 --train-embeddings --task text-classification -o out --force --data-dir d --json"
    )
    result = invoke("distill", "ck", *options.split())
    assert result.exit_code == 0, result.stderr
    settings = DistillSettings(
        data=("a.json", "b.json"),
        select="s.json",
        gate_data="g.json",
        layers=(0, 2),
        steps=9,
        label_weight=0.5,
        train_embeddings=True,
    )
    expected = {
        "student": "ck",
        "teacher": "t",
        "task": "text-classification",
        "out": Path("out"),
        "settings": settings,
    }
    assert calls == [{**expected, "data_dir": Path("d"), "force": True}]
    assert json.loads(result.stdout) == REPORT.as_json()


def test_quickstart_is_a_teacher(calls) -> None:
    """The model that ships is a student or a teacher by its name."""
    invoke("distill", "quickstart", "--teacher", "quickstart", "--data", "a.json", "-o", "out")
    assert calls[0]["student"] == calls[0]["teacher"] == str(quickstart_model())


def test_table_tells_before_and_after(calls) -> None:
    """The scores are those of the weights that were kept, not of the last ones."""
    text = invoke("distill", "ck", "--teacher", "t", "--data", "a.json", "-o", "out").stdout
    assert "50.00 before, 79.00 after, teacher 80.00, on 400 selection questions" in text
    assert "kept are those of step 60 (finished)" in text
    assert "16.0 rows/s, 3,210 tokens/s, bfloat16 on cpu, 1 threads" in text


def test_table_tells_of_the_last_weights_where_they_are_kept(calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--keep last` the folder has the last weights, though others were better on the selection."""
    monkeypatch.setitem(globals(), "REPORT", REPORT.model_copy(update={"best_step": 100}))
    text = invoke("distill", "ck", "--teacher", "t", "--data", "a.json", "--keep", "last", "-o", "out").stdout
    assert "50.00 before, 79.50 after, teacher 80.00" in text
    assert "45.00 before, 74.00 after, teacher 75.00" in text
    assert "kept are those of step 100 (finished)" in text
