"""A recipe and a small real file for each task: they load, plan and read, and name no calibrated question twice."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from quantkit.cli.main import main
from quantkit.pinned import DATASETS
from quantkit.recipe import load_recipe
from quantkit.tables import TASKS
from quantkit.tasks.calibration_set import select
from quantkit.tasks.datasets import load

OTHERS = sorted(set(TASKS) - {"squad"})
SMALL = sorted(name for name in DATASETS if name.startswith("callcentre-"))


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_every_task_has_a_file_of_its_own() -> None:
    """One file for each task that has no public one."""
    assert sorted(DATASETS[name].task for name in SMALL) == OTHERS


@pytest.mark.parametrize("task", OTHERS)
def test_a_recipe_is_planned_with_another_model_and_other_data(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run RECIPE --checkpoint` takes a model and files of one's own, by name and by path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "my-model" / "model.safetensors").touch()
    own = Path(DATASETS[load_recipe(task).evaluate.data].source)  # type: ignore[arg-type]
    (tmp_path / own.name).write_bytes(own.read_bytes())
    for more in ([], ["--set", f"evaluate.data={own.name}", "--set", f"quantize.calib={own.name}"]):
        plan = invoke("run", task, "--checkpoint", "my-model", "--dry-run", "--json", *more)
        assert plan.exit_code == 0, plan.stderr
        steps = [step["step"] for step in json.loads(plan.stdout)["steps"]]
        assert steps[-1] == "gate"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", SMALL)
def test_data_check_reads_a_shipped_file(name: str) -> None:
    """Every row of it has an answer, none is repeated, and it has the number of questions that is pinned."""
    known = DATASETS[name]
    for named in (name, str(known.source)):
        found = invoke("data", "check", named, "--task", known.task, "--json")
        assert found.exit_code == 0, found.stderr
        said = json.loads(found.stdout)
        assert (said["questions"], said["unanswered"], said["repeated"]) == (known.questions, 0, 0)


@pytest.mark.parametrize("name", SMALL)
def test_what_is_calibrated_on_is_not_evaluated(name: str) -> None:
    """The calibration set of a name has other texts, and ids that the gate does not take for its own."""
    task = DATASETS[name].task
    calibrated, evaluated = select(name, task).dataset, load(name, task)
    ids = {question.id for question in calibrated.questions}
    assert not ids & {question.id for question in evaluated.questions}
