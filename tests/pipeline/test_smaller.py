"""A recipe that makes a smaller model: searched, distilled, judged against the original; its stages take no time."""
# ruff: noqa: D102 - the methods of the fakes are the stages, documented there

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from pipeline.fakes import Fakes
from pipeline.fakes import recipe as recipe_of

from quantkit.artifact import Artifact, Ingredients, new_artifact
from quantkit.artifact.measure import Stopwatch
from quantkit.errors import DatasetError, TrainingError, UsageError
from quantkit.files import digest_of
from quantkit.pipeline import line as line_module
from quantkit.pipeline import searching as searching_module
from quantkit.pipeline import smaller as smaller_module
from quantkit.pipeline.run import plan, run
from quantkit.pipeline.work import WorkFolder
from quantkit.recipe.load import load_recipe
from quantkit.recipe.settings import KeepFloat
from quantkit.records import DistillReport, ShapeSearch
from quantkit.records.distill import Evaluated, Speeds
from quantkit.records.shapes import ShapeCandidate
from quantkit.registry import DirectoryRegistry
from quantkit.report.live import LivePage
from quantkit.shapes.keep_float import write_kept
from quantkit.shipped import quickstart_model

WHOLE = [
    *("search", "distill", "export", "fuse", "quantize", "export", "fuse", "quantize"),
    *("evaluate-fp32", "evaluate-fp32", "evaluate-int8", "evaluate-int8", "inspect", "inspect", "inspect"),
    "bench",
]
TWICE = ["quantize", "quantize", "evaluate-int8", "evaluate-int8", "inspect", "bench"]
SECTIONS: dict[str, Any] = {
    "search": {"data": "callcentre", "min_throughput": "1.5x"},
    "distill": {"data": ["callcentre"]},
    "evaluate": {"data": "callcentre"},
}


class SmallerFakes(Fakes):
    """The stages with those that make a smaller checkpoint. `met` is what the search says, `ended` the training."""

    met = True
    kept: tuple[KeepFloat, ...] = ()
    ended = "finished"
    teacher: str | None = None

    def digest(self, checkpoint: str, **options: Any) -> str:
        record = Path(checkpoint) / "distill.json"
        return digest_of([self.checkpoint, checkpoint, record.read_text() if record.is_file() else ""])

    def search(
        self, name: str, out: Path, *, task: str, settings: Any, data_dir: Path | None, live: LivePage
    ) -> ShapeSearch:
        assert live.path == Path(f"{out}.live.html")
        (out / "chosen").mkdir(parents=True)
        report = search_report(self.teacher or self.digest(name), met=self.met)
        (out / "search.json").write_text(json.dumps(report.as_json()))
        self.record(out / "chosen" / "student.json", name)
        if self.kept:
            write_kept(out / "chosen", self.kept)
        self.note("search")
        return report

    def distill(self, family: Any, out: Path, *, settings: Any, data_dir: Path | None) -> DistillReport:
        out.mkdir(parents=True)
        report = distill_report(self.teacher or self.digest(family.teacher), ended=self.ended)
        (out / "distill.json").write_text(json.dumps(report.as_json()))
        self.note("distill")
        if self.ended == "nan":
            raise TrainingError("the loss became NaN")
        return report

    def quantize(self, artifact: Artifact, out: Path, *, settings: Any, data_dir: Path | None) -> Artifact:
        self.quantized = {
            **getattr(self, "quantized", {}),
            out.name: [entry.pattern for entry in settings.keep_float],
        }
        return super().quantize(artifact, out, settings=settings, data_dir=data_dir)

    def record(self, path: Path, teacher: str) -> None:
        path.write_text(json.dumps({"teacher": self.teacher or self.digest(teacher)}))

    def export(self, checkpoint: str, out: Path, *, task: str, settings: Any) -> Artifact:
        facts = {"checkpoint_digest": self.digest(checkpoint), "parameters": 100}
        for name in ("student.json", "distill.json"):
            if (Path(checkpoint) / name).is_file():
                facts["teacher_digest"] = json.loads((Path(checkpoint) / name).read_text())["teacher"]
                facts["parameters"] = 60
        made_of = Ingredients(settings=facts)
        with new_artifact(out) as draft:
            draft.model_path.write_bytes(digest_of(facts).encode() * 400)
            (draft.path / "config.json").write_text(json.dumps({"parameters": facts["parameters"]}))
            record = Stopwatch().record("export", ingredients=made_of, settings={}, facts=facts)
            draft.record(task=task, architecture="bert", precision="fp32", stages=(record,), parent=None)
        self.note("export")
        return Artifact.open(out)

    def replacements(self) -> Any:
        return [
            *super().replacements(),
            (smaller_module, "search_checkpoint", self.search),
            (smaller_module, "distill", self.distill),
            (importlib.import_module("quantkit.stages.distill.distill"), "checkpoint_digest", self.digest),
            (searching_module, "tool_versions", lambda *names: {}),
            (line_module, "questions_of", lambda *arguments: None),
            (line_module, "choose_questions", lambda *arguments: None),
        ]


def search_report(teacher: str, *, met: bool) -> ShapeSearch:
    numbers: dict[str, float] = dict.fromkeys(
        (
            *("size_bytes", "l3_bytes", "parameters", "number"),
            *("predicted_damage", "divergence", "score", "ratio", "expected_ratio", "expected_ratio_low"),
            *("predicted_cost_us", "cost_us", "throughput"),
        ),
        0,
    )
    one = {"origin": "a", "heads": (1,), "feed_forward": (1,), "meets": met, "front": True, **numbers}
    found = ShapeCandidate.model_validate({**one, "number": 1, "parameters": 60, "throughput": 1.6})
    rates = ("beside_us", "price_error", "rank_correlation", "baseline_score", "teacher_divergence")
    counts = ("tokens", "rows", "data_questions", "damage_questions", "selection_questions", "teacher_score")
    content = {
        **dict.fromkeys((*rates, *counts), 1),
        **{"teacher": teacher, "task": "squad", "family": "bert", "limits": {"min_throughput": 1.5}},
        **{"met": met, "chosen": 1, "data_digest": "d", "selection_digest": "s", "blocks": ()},
        **{"candidates": (ShapeCandidate.model_validate(one), found), "seconds": {"damage": 2.0}},
    }
    return ShapeSearch.model_validate(content)


def distill_report(teacher: str, *, ended: Any = "finished") -> DistillReport:
    return DistillReport(
        student="a" * 64,
        teacher=teacher,
        task="squad",
        layers=(0,),
        blocks=(),
        data={},
        questions=1,
        rows=1,
        selection_questions=1,
        block_steps=0,
        whole_steps=1,
        steps_done=1,
        epochs=1.0,
        ended=ended,
        best_step=1,
        teacher_score=Evaluated(step=0, f1=90.0, expected_f1=90.0),
        evaluations=(
            Evaluated(step=0, f1=50.0, expected_f1=50.0),
            Evaluated(step=1, f1=80.0, expected_f1=80.0),
        ),
        losses={},
        seconds=7.0,
        rows_per_second=1.0,
        tokens_per_second=1.0,
        speeds=Speeds(),
        precision="float32",
        device="cpu",
        threads=1,
        peak_memory_bytes=1,
    )


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallerFakes:
    fakes = SmallerFakes(tmp_path / "log")
    for module, name, fake in fakes.replacements():
        monkeypatch.setattr(module, name, fake)
    return fakes


@pytest.fixture
def smaller(tmp_path: Path) -> Any:
    return lambda **changes: recipe_of(tmp_path, **{**SECTIONS, **changes})


def test_the_original_is_the_baseline(fakes: SmallerFakes, smaller: Any, tmp_path: Path) -> None:
    """What is judged is the student, against the export of the checkpoint that the recipe names; all is published."""
    report = run(smaller(), work=tmp_path / "work")

    assert fakes.finished() == WHOLE
    gate = json.loads((tmp_path / "work" / "03-int8" / "reports" / "gate.json").read_text())
    assert (report.verdict, gate["settings"]["student"]) == ("pass", True)
    assert gate["baseline"] == Artifact.open(tmp_path / "work" / "00-original-fused").digest
    assert report.smaller is not None
    assert report.smaller.model_dump() == {
        "teacher": fakes.digest("checkpoint"),
        "parameters": 60,
        "teacher_parameters": 100,
        "f1": 100.0,
        "met": True,
        "throughput": 1.6,
        "before_training": 50.0,
        "after_training": 80.0,
    }
    assert DirectoryRegistry(tmp_path / "registry").verify("tiny:1.0.0").verified
    published = Artifact.open(tmp_path / "registry" / "tiny" / "1.0.0").manifest
    exported = published.stage("export")
    assert exported is not None
    assert exported.facts["teacher_digest"] == fakes.digest("checkpoint")
    # The original comes first, and the candidate's ratio is to it.
    assert report.qps_ratio == 4.0


@pytest.mark.parametrize("distilled", [True, False])
def test_blocks_that_the_search_keeps_float_stay_float(
    fakes: SmallerFakes, smaller: Any, tmp_path: Path, distilled: bool
) -> None:
    """In the student, trained or not, beside what the recipe keeps; never in the original, and in no second run."""
    fakes.kept = (KeepFloat(pattern="layer.0.attention.*", because="damage 0.1 nats as INT8"),)
    asked = {"quantize": {"mode": "dynamic", "keep_float": [{"pattern": "pooler"}]}, "publish": None}
    recipe = smaller(**asked, **({} if distilled else {"distill": None}))
    run(recipe, work=tmp_path / "work")
    assert fakes.quantized == {"00-original-int8": ["pooler"], "03-int8": ["pooler", "layer.0.attention.*"]}
    before = fakes.finished()
    run(recipe, work=tmp_path / "work")
    assert fakes.finished() == before


def test_a_named_student_brings_its_float_blocks(fakes: SmallerFakes, smaller: Any, tmp_path: Path) -> None:
    """What an earlier search chose is quantized as it was judged."""
    student = tmp_path / "mine"
    student.mkdir()
    fakes.record(student / "student.json", "checkpoint")
    write_kept(student, (KeepFloat(pattern="layer.0.attention.*"),))
    run(smaller(search=None, student=str(student), publish=None), work=tmp_path / "work")
    assert fakes.quantized == {"00-original-int8": [], "03-int8": ["layer.0.attention.*"]}


def test_a_second_run_keeps_all_of_it(fakes: SmallerFakes, smaller: Any, tmp_path: Path) -> None:
    """Neither the hours of a search nor those of a training are spent twice."""
    run(smaller(), work=tmp_path / "work")
    report = run(smaller(), work=tmp_path / "work")

    assert fakes.finished() == WHOLE
    assert {step.step for step in report.steps if step.action == "run"} == {"gate", "publish"}
    planned = plan(smaller(), work=tmp_path / "work")
    assert {step.step for step in planned.steps if step.action == "run"} == {"gate", "publish"}


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({"search": {"data": "callcentre", "min_throughput": "2x"}}, ["search"]),
        ({"distill": {"data": ["callcentre"], "steps": 3}}, ["distill"]),
        ({"quantize": {"mode": "dynamic", "seed": 1}}, TWICE),
    ],
)
def test_only_what_changed_is_made_again(
    fakes: SmallerFakes, smaller: Any, tmp_path: Path, changes: dict[str, Any], again: list[str]
) -> None:
    """What follows is made again only where a result is another one: both fakes end with the same student."""
    run(smaller(publish=None), work=tmp_path / "work")
    run(smaller(publish=None, **changes), work=tmp_path / "work")

    assert fakes.finished() == WHOLE + again


@pytest.mark.parametrize("step", ["search", "distill"])
def test_a_folder_that_was_finished_is_kept(
    fakes: SmallerFakes, smaller: Any, tmp_path: Path, step: str
) -> None:
    """Killed between the last byte and the ledger, the result is there, and its cost is what its report says."""
    work = tmp_path / "work"
    run(smaller(publish=None), work=work)
    folder = WorkFolder(work)
    entry = folder.entry(step)
    assert entry is not None
    folder.write(step, entry.model_copy(update={"done": False, "seconds": 0.0}))

    report = run(smaller(publish=None), work=work)

    assert fakes.finished() == WHOLE
    assert {found.step: found.seconds for found in report.steps}[step] == {"search": 2.0, "distill": 7.0}[
        step
    ]


def test_a_training_that_broke_is_done_again(fakes: SmallerFakes, smaller: Any, tmp_path: Path) -> None:
    """What is left of a loss that was no number is kept for people, and never quantized unseen."""
    fakes.ended = "nan"
    with pytest.raises(TrainingError):
        run(smaller(), work=tmp_path / "work")
    fakes.ended = "finished"
    run(smaller(), work=tmp_path / "work")

    assert fakes.finished() == [WHOLE[0], "distill", *WHOLE[1:]]


def test_a_student_is_distilled_without_a_search(fakes: SmallerFakes, smaller: Any, tmp_path: Path) -> None:
    """A smaller checkpoint that is there already is trained, or only judged, against the checkpoint."""
    student = tmp_path / "mine"
    student.mkdir()
    fakes.record(student / "student.json", "checkpoint")
    report = run(smaller(search=None, student=str(student)), work=tmp_path / "work")
    assert (fakes.finished(), report.verdict) == (WHOLE[1:], "pass")
    published = (Path(report.published or "") / "reports" / "recipe.yaml").read_text()
    assert "student: mine\n" in published
    only = run(smaller(search=None, distill=None, student=str(student), publish=None), work=tmp_path / "only")
    assert (only.verdict, only.smaller and only.smaller.after_training) == ("pass", None)


def test_a_student_of_another_teacher_fails(fakes: SmallerFakes, smaller: Any, tmp_path: Path) -> None:
    """An artifact that says it was made from another checkpoint is not judged as this one's student."""
    fakes.teacher = "f" * 64
    report = run(smaller(), work=tmp_path / "work")
    assert (report.verdict, report.failed_checks, report.published) == ("fail", ("lineage",), None)


def test_a_search_that_fell_short_is_told_of(
    fakes: SmallerFakes, smaller: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A candidate that misses what was asked goes on to the gate, and both the log and the report say so."""
    fakes.met = False
    report = run(smaller(), work=tmp_path / "work")
    assert report.smaller is not None
    assert (report.verdict, report.smaller.met) == ("pass", False)
    assert "nothing that keeps all that was asked" in caplog.text


def test_the_gates_questions_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    """Whoever would train on what the gate asks is told a question's id at once, not after the search."""
    settings = {
        "publish": None,
        "bench": None,
        "checkpoint": str(quickstart_model()),
        "quantize": {"mode": "dynamic"},
    }
    overlap = recipe_of(tmp_path, **{**SECTIONS, **settings, "search": None, "student": "s"})
    with pytest.raises(DatasetError, match=r"callcentre: 501 of the 501 questions are the gate's .*such as "):
        run(overlap, work=tmp_path / "work")
    nothing = recipe_of(tmp_path, **{**SECTIONS, **settings, "search": {"data": "callcentre"}})
    with pytest.raises(UsageError, match="nothing is asked of the smaller model"):
        run(nothing, work=tmp_path / "work")
    assert not list((tmp_path / "work").glob("0*"))


def test_shipped_recipes_learn_no_question_of_the_gate() -> None:
    """What the shipped recipes search and train on is named otherwise than what their gate asks, and is there."""
    for name in ("quickstart-search", "minilm-search", "text-classification-search"):
        recipe = load_recipe(name)
        assert recipe.search is not None
        assert recipe.distill is not None
        assert recipe.evaluate.data not in recipe.distill.data
    for name in ("quickstart-search", "text-classification-search"):
        learned = load_recipe(name).distill
        assert learned is not None
        assert Path(learned.data[0]).is_file()
