"""A training: it teaches, ends where it should, and a stop at any moment changes no bit of what comes of it."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from letters import LENGTH, LETTERS, MakeCheckpoint, write_questions

torch = pytest.importorskip("torch")

import safetensors.torch  # noqa: E402 - needs torch

from quantkit.distillation.judge import Judge, Score  # noqa: E402
from quantkit.distillation.schedule import Schedule, Speed  # noqa: E402
from quantkit.distillation.state import Progress, TrainingFolder  # noqa: E402
from quantkit.distillation.whole import whole_losses  # noqa: E402
from quantkit.errors import DatasetError, TrainingError, UsageError  # noqa: E402
from quantkit.recipe.distill_settings import DistillSettings  # noqa: E402
from quantkit.recipe.settings import ExportSettings  # noqa: E402
from quantkit.records import DistillReport  # noqa: E402
from quantkit.stages.distill import Family, distill  # noqa: E402
from quantkit.stages.export import export  # noqa: E402
from quantkit.tasks.data_places import DataPlaces  # noqa: E402

Distil = Callable[..., DistillReport]


class Killed(BaseException):
    """The process is gone: nothing catches it."""


@pytest.fixture
def settings(questions: Path) -> DistillSettings:
    return DistillSettings(
        data=(str(questions),),
        gate_data=str(questions.parent / "gate.json"),
        steps=24,
        block_share=0.25,
        token_budget=128,
        max_length=LENGTH,
        select_questions=12,
        evaluations=3,
        save_every=5,
        threads=1,
        learning_rate=2e-3,
    )


@pytest.fixture(autouse=True)
def gate(questions: Path) -> None:
    write_questions(questions.parent / "gate.json", 2, first=1000)


@pytest.fixture
def distil(student: Path, teacher: Path, settings: DistillSettings) -> Distil:
    """Return a function that distils the student into a folder, with some settings changed."""

    def run(out: Path, source: Path = student, **changes: Any) -> DistillReport:
        return distill(
            Family(student=str(source), teacher=str(teacher), task="squad"),
            out,
            settings=settings.model_copy(update=changes),
        )

    return run


def weights(folder: Path) -> dict[str, Any]:
    return dict(safetensors.torch.load_file(folder / "model.safetensors"))


def assert_same_weights(one: Path, other: Path) -> None:
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


@pytest.fixture
def last_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the last weights be the best: labels mean nothing here, and so do scores."""
    scores = itertools.count()
    monkeypatch.setattr(Judge, "score", lambda *asked: Score(f1=next(scores), expected=0.0))


@pytest.mark.usefixtures("last_is_best")
def test_a_student_learns(distil: Distil, student: Path, tmp_path: Path) -> None:
    """Blocks come nearer to the teacher's, then the whole does; embeddings stay; the record says what was done."""
    report = distil(tmp_path / "out", steps=120, block_share=0.5, patience=99)
    assert report.ended == "finished"
    assert report.blocks == ("layer 0 attention", "layer 1 feed-forward")
    assert (report.block_steps, report.whole_steps, report.questions) == (60, 60, 48)
    _, after_blocks, *later = report.evaluations
    assert after_blocks.step == 60
    assert later[-1].loss < later[0].loss
    before, after = weights(student), weights(tmp_path / "out")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed != set()
    assert [name for name in changed if ".embeddings." in name] == []
    assert json.loads((tmp_path / "out/distill.json").read_text()) == report.as_json()


@pytest.mark.usefixtures("last_is_best")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_settings_give_the_same_weights(distil: Distil, tmp_path: Path, precision: str) -> None:
    """Two trainings with one seed end in the same bytes; another seed ends elsewhere."""
    for name in ("one", "two"):
        distil(tmp_path / name, precision=precision)
    distil(tmp_path / "other", precision=precision, seed=1)
    assert_same_weights(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "other/model.safetensors").read_bytes() != (
        tmp_path / "one/model.safetensors"
    ).read_bytes()


@pytest.mark.usefixtures("last_is_best")
def test_a_stopped_training_goes_on_exactly(
    distil: Distil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after any save, in the blocks' phase or the whole's, it ends in the bytes of one that never stopped."""
    write, saved, stops = TrainingFolder.write, [0], [99]

    def write_and_die(folder: TrainingFolder, progress: Progress, tensors: Any) -> None:
        write(folder, progress, tensors)
        saved[0] += 1
        if saved[0] == stops[0]:
            raise Killed

    monkeypatch.setattr(TrainingFolder, "write", write_and_die)
    distil(tmp_path / "whole", accumulate=2)
    all_saves = saved[0]
    assert all_saves >= 5
    for stop in (1, 2, all_saves - 1):
        saved[0], stops[0] = 0, stop
        with pytest.raises(Killed):
            distil(tmp_path / f"stopped {stop}", accumulate=2)
        assert not (tmp_path / f"stopped {stop}").exists()
        stops[0] = 99
        distil(tmp_path / f"stopped {stop}", accumulate=2)
        assert_same_weights(tmp_path / "whole", tmp_path / f"stopped {stop}")


def test_kill_minus_nine(
    distil: Distil,
    student: Path,
    teacher: Path,
    settings: DistillSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that is killed outright leaves a state that another one goes on from, to the same bytes."""
    changes = {"steps": 4000, "save_every": 2, "evaluations": 1}
    script = (
        "import sys, json; from pathlib import Path; from quantkit.stages.distill import Family, distill; "
        "from quantkit.recipe.distill_settings import DistillSettings; "
        "distill(Family(student=sys.argv[1], teacher=sys.argv[2], task='squad'), Path(sys.argv[3]), "
        "settings=DistillSettings.model_validate_json(sys.argv[4]))"
    )
    asked = settings.model_copy(update=changes).model_dump_json()
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(student), str(teacher), str(tmp_path / "out"), asked]
    )
    folder = Path(os.environ["QUANTKIT_CACHE"]) / "distill"
    while process.poll() is None and saved_step(folder) < 10:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert saved_step(folder) >= 10
    # What is left to do would take long: the rest of both trainings is cut.
    ended_at = saved_step(folder) + 6
    stop_at(monkeypatch, ended_at)
    with pytest.raises(Killed):
        distil(tmp_path / "out", **changes)
    after = states(folder)
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "another"))
    with pytest.raises(Killed):
        distil(tmp_path / "out", **changes)
    assert states(tmp_path / "another/distill") == after


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    write = TrainingFolder.write

    def write_and_die(folder: TrainingFolder, progress: Progress, tensors: Any) -> None:
        write(folder, progress, tensors)
        if progress.step >= step:
            raise Killed

    monkeypatch.setattr(TrainingFolder, "write", write_and_die)


def saved_step(folder: Path) -> int:
    for path in folder.glob("*/state.safetensors"):
        with safetensors.safe_open(path, framework="pt") as file:
            return int(json.loads(file.metadata()["progress"])["step"])
    return 0


def states(folder: Path) -> dict[str, list[float]]:
    (path,) = folder.glob("*/state.safetensors")
    return {name: tensor.flatten().tolist() for name, tensor in safetensors.torch.load_file(path).items()}


def test_a_finished_training_leaves_no_state(distil: Distil, tmp_path: Path) -> None:
    """The cache is free again when the checkpoint is written."""
    distil(tmp_path / "out")
    assert list((Path(os.environ["QUANTKIT_CACHE"]) / "distill").iterdir()) == []


def test_nan_keeps_the_best(distil: Distil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that becomes NaN ends the training with one line, and the best weights before are written."""
    calls = 0

    def spoilt(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        losses = whole_losses(*arguments)
        return {name: loss * float("nan") for name, loss in losses.items()} if calls == 15 else losses

    monkeypatch.setattr("quantkit.distillation.training.whole_losses", spoilt)
    with pytest.raises(TrainingError, match=r"became NaN or Infinity after step 20 of 24; .* of step \d+"):
        distil(tmp_path / "out")
    report = DistillReport.read(tmp_path / "out/distill.json")
    assert (report.ended, report.steps_done) == ("nan", 20)
    assert all(bool(torch.isfinite(weight).all()) for weight in weights(tmp_path / "out").values())


def test_no_better_evaluation_ends_it(distil: Distil, tmp_path: Path) -> None:
    """After so many evaluations without a better one the training ends, and the best weights are taken."""
    report = distil(tmp_path / "out", steps=60, evaluations=30, patience=2, learning_rate=0.5)
    assert report.ended == "early"
    scores = [found.merit for found in report.evaluations]
    assert scores.index(max(scores)) == len(scores) - 3
    assert report.best_step == report.evaluations[-3].step


def test_the_last_weights_are_kept_where_asked(distil: Distil, tmp_path: Path) -> None:
    """Though the selection says that they are worse, the last ones are taken, and nothing ends early."""
    report = distil(tmp_path / "out", steps=12, evaluations=4, patience=1, learning_rate=0.5, keep="last")
    assert (report.ended, report.best_step) == ("finished", 12)
    assert report.evaluations[-1].merit < report.evaluations[0].merit


def test_a_budget_gives_the_steps(distil: Distil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without steps they are counted by the measured speed; timing them teaches nothing, so the first score stays."""
    asked = []

    def counted(budget: float, spent: float, speed: Speed, **others: Any) -> Schedule:
        asked.append((budget, spent > 0, speed.block > 0, speed.whole > 0, speed.evaluation > 0, others))
        return Schedule(blocks=1, whole=3)

    monkeypatch.setattr("quantkit.distillation.training.steps_within", counted)
    report = distil(tmp_path / "out", steps=None, budget=77.0)
    assert asked == [(77.0, True, True, True, True, {"evaluations": 3, "block_share": 0.25})]
    assert (report.block_steps, report.whole_steps, report.steps_done) == (1, 3, 4)
    assert report.evaluations[0] == distil(tmp_path / "other").evaluations[0]


def test_all_losses_together(distil: Distil, tmp_path: Path) -> None:
    """Relations and labels are parts of the loss where they have a weight."""
    report = distil(tmp_path / "out", relation_weight=1.0, label_weight=0.5, train_embeddings=True)
    assert set(report.losses) == {"logits", "hidden", "relations", "labels"}


def test_fake_quantization_is_of_the_last_steps(distil: Distil, tmp_path: Path) -> None:
    """Steps with fake quantization end in other weights; those before are as without it."""
    reports = [distil(tmp_path / str(share), qat_share=share) for share in (0.0, 0.5)]
    assert reports[0].evaluations[:2] == reports[1].evaluations[:2]
    assert reports[0].evaluations[-1] != reports[1].evaluations[-1]


def test_fewer_layers(distil: Distil, make_checkpoint: MakeCheckpoint, teacher: Path, tmp_path: Path) -> None:
    """A student that lacks a layer learns with the layers that remain."""
    source = make_checkpoint(teacher, num_hidden_layers=1)
    report = distil(tmp_path / "out", source=source, layers=(0,))
    assert (report.layers, report.blocks) == ((0,), ("layer 0 feed-forward",))


def test_the_gates_questions_are_not_learned(distil: Distil, questions: Path, tmp_path: Path) -> None:
    """Training data that holds a question of the gate is refused, with its id."""
    with pytest.raises(DatasetError, match=r"60 of the 60 questions are the gate's .*, such as q0-0; "):
        distil(tmp_path / "out", gate_data=str(questions))


def test_the_same_training_twice_at_once(
    distil: Distil, student: Path, teacher: Path, settings: DistillSettings, tmp_path: Path
) -> None:
    """A second training of the same key waits for nobody, and says so."""
    from quantkit.stages.distill import ingredients

    made_of = ingredients(
        Family(student=str(student), teacher=str(teacher), task="squad"), settings, DataPlaces()
    )
    with (
        TrainingFolder(made_of.key("distill")).held(),
        pytest.raises(UsageError, match="the same training is at work there"),
    ):
        distil(tmp_path / "out")


def test_the_line_takes_what_comes_of_it(distil: Distil, tmp_path: Path) -> None:
    """A distilled checkpoint is exported as any other, and its record stays out of the artifact."""
    distil(tmp_path / "out", steps=4)
    artifact = export(str(tmp_path / "out"), tmp_path / "fp32", task="squad", settings=ExportSettings())
    assert (artifact.manifest.architecture, artifact.task) == ("decibert", "squad")
    assert not (artifact.path / "distill.json").exists()


def test_a_classifier_learns(
    make_checkpoint: MakeCheckpoint, settings: DistillSettings, tmp_path: Path
) -> None:
    """The same for texts with labels: their logits, hidden states and labels."""
    texts = tmp_path / "texts.jsonl"
    lines = ({"id": f"t{n}", "text": LETTERS[: 1 + n % 8], "label": n % 2} for n in range(40))
    texts.write_text("\n".join(map(json.dumps, lines)) + "\n")
    source = make_checkpoint(task="text-classification")
    student = make_checkpoint(source, task="text-classification", intermediate_size=32)
    changes = {"data": (str(texts),), "gate_data": None, "label_weight": 1.0}
    report = distill(
        Family(student=str(student), teacher=str(source), task="text-classification"),
        tmp_path / "out",
        settings=settings.model_copy(update=changes),
    )
    assert report.blocks == ("layer 0 feed-forward", "layer 1 feed-forward")
    assert set(report.losses) == {"logits", "hidden", "labels"}
