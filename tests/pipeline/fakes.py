"""Stages that take no time: they write small artifacts that depend on what went in, and note that they ran.

As a program (`python fakes.py WORK LOG PAUSE`) it runs the whole line with them. When a stage has finished it waits for
a line on stdin, so that whoever kills it is never too late.
"""
# ruff: noqa: D102 - the methods are the stages, documented there

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from gate_evidence import inspection_of, lineage_of

from quantkit.artifact import Artifact, Ingredients, new_artifact
from quantkit.artifact.measure import Stopwatch
from quantkit.files import digest_of
from quantkit.pipeline import line as line_module
from quantkit.pipeline import run as run_module
from quantkit.pipeline import stages as stages_module
from quantkit.recipe import Recipe
from quantkit.records import (
    BenchReport,
    BenchResult,
    Evaluation,
    Inspection,
    Lineage,
    QuestionScore,
    scores_digest,
)
from quantkit.records.bench import BenchVerdict
from quantkit.stages import export as export_module
from quantkit.stages import inspect as inspect_module
from quantkit.stages import lineage as lineage_module

QUESTIONS = 500


class Fakes:
    """The stages. `log` gets a line when one of them has finished; `wrong` questions get no F1 in INT8."""

    def __init__(self, log: Path, *, pause: float = 0.0, wrong: int = 0) -> None:
        self.log = log
        self.pause = pause
        self.wrong = wrong
        self.checkpoint = "checkpoint"
        self.bench_verdict: BenchVerdict = "measured"

    def finished(self) -> list[str]:
        """Return the names of the stages that finished, in order."""
        return self.log.read_text().split() if self.log.exists() else []

    def note(self, name: str) -> None:
        with self.log.open("a") as stream:
            stream.write(f"{name}\n")

    def make(
        self, out: Path, stage: str, content: Any, *, precision: str, parent: Artifact | None
    ) -> Artifact:
        with new_artifact(out) as draft:
            body = digest_of(content).encode() * (400 if precision == "fp32" else 100)
            for part in (body[: len(body) // 2], body[len(body) // 2 :]):
                with draft.model_path.open("ab") as stream:
                    stream.write(part)
                time.sleep(self.pause)
            (draft.path / "config.json").write_text('{"vocab_size": 8}')
            made_of = Ingredients(settings={"content": digest_of(content)})
            record = Stopwatch().record(stage, ingredients=made_of, settings={"mode": "dynamic"})
            draft.record(
                task="squad",
                architecture="bert",
                precision="int8" if precision == "int8" else "fp32",
                stages=(*(parent.manifest.stages if parent else ()), record),
                parent=parent.digest if parent else None,
            )
        self.note(stage)
        return Artifact.open(out)

    def checkpoint_digest(self, checkpoint: str, *, revision: str | None, allow_pickle: bool) -> str:
        return digest_of([self.checkpoint, checkpoint, revision, allow_pickle])

    def export(self, checkpoint: str, out: Path, *, task: str, settings: Any) -> Artifact:
        content = ["export", self.checkpoint, settings.as_json()]
        return self.make(out, "export", content, precision="fp32", parent=None)

    def fuse(self, artifact: Artifact, out: Path, *, settings: Any) -> Artifact:
        content = ["fuse", artifact.digest, settings.as_json()]
        return self.make(out, "fuse", content, precision="fp32", parent=artifact)

    def quantize(self, artifact: Artifact, out: Path, *, settings: Any, data_dir: Path | None) -> Artifact:
        content = ["quantize", artifact.digest, settings.as_json()]
        return self.make(out, "quantize", content, precision="int8", parent=artifact)

    def evaluate(
        self, artifact: Artifact, *, settings: Any, data_dir: Path | None, own: Any = None
    ) -> Evaluation:
        del own
        wrong = self.wrong if artifact.manifest.precision == "int8" else 0
        scores = tuple(
            QuestionScore(
                id=str(index),
                group=str(index % 5),
                answer="x",
                exact_match=float(index >= wrong),
                f1=float(index >= wrong),
            )
            for index in range(QUESTIONS)
        )
        share = 100 * sum(score.f1 for score in scores) / QUESTIONS
        evaluation = Evaluation(
            key=digest_of([artifact.digest, wrong]),
            artifact=artifact.digest,
            task="squad",
            dataset="1" * 64,
            dataset_name="tiny",
            f1=share,
            exact_match=share,
            questions=QUESTIONS,
            features=QUESTIONS,
            seconds=1.0,
            features_per_second=40.0,
            predictions_sha256=scores_digest(scores),
            scores=scores,
        )
        known = artifact.report_path("evaluation.json")
        if not known.exists() or Evaluation.read(known).key != evaluation.key:
            time.sleep(self.pause)
            artifact.write_report("predictions.json", [score.model_dump(mode="json") for score in scores])
            artifact.write_report("evaluation.json", evaluation.as_json())
            self.note(f"evaluate-{artifact.manifest.precision}")
        return evaluation

    def inspect(self, artifact: Artifact) -> Inspection:
        time.sleep(self.pause)
        self.note("inspect")
        return inspection_of(artifact, 1.0)

    def inspect_baseline(self, artifact: Artifact) -> Inspection:
        return inspection_of(artifact, 0.0)

    def lineage(self, candidate: Artifact, baseline: Artifact) -> Lineage:
        return lineage_of(candidate, baseline)

    def bench(self, artifacts: Sequence[Artifact], *, settings: Any, data_dir: Path | None) -> BenchReport:
        time.sleep(self.pause)
        self.note("bench")
        results = tuple(
            BenchResult(
                artifact=artifact.digest,
                name=artifact.path.name,
                qps=10.0 * (index + 1),
                ratio=1.0 + index if self.bench_verdict == "measured" else None,
                spread=(1.0, 2.0),
            )
            for index, artifact in enumerate(artifacts)
        )
        return BenchReport(
            scenario="offline",
            verdict=self.bench_verdict,
            dataset_name="tiny",
            dataset="1" * 64,
            windows=40,
            repeats=2,
            threads=1,
            results=results,
        )

    def replacements(self) -> list[tuple[ModuleType, str, Any]]:
        """Return module, name in it, and what stands for it."""
        names = ("export", "fuse", "quantize", "evaluate", "inspect", "bench")
        chosen = SimpleNamespace(dataset=SimpleNamespace(digest="3" * 64))
        return [
            *((stages_module, name, getattr(self, name)) for name in names),
            (export_module, "checkpoint_digest", self.checkpoint_digest),
            (line_module, "select", lambda *arguments, **more: chosen),
            (line_module, "selection", lambda *arguments: chosen.dataset),
            (line_module, "find", lambda *arguments: Path(__file__)),
            (inspect_module, "inspect", self.inspect_baseline),
            (lineage_module, "lineage", self.lineage),
        ]


def recipe(folder: Path, **changes: Any) -> Recipe:
    """Return a recipe with every section, publishing below `folder`."""
    content = {
        "name": "tiny",
        "checkpoint": "checkpoint",
        "quantize": {"mode": "dynamic"},
        "bench": {},
        "gate": {"resamples": 100},
        "publish": {"registry": str(folder / "registry"), "name": "tiny", "version": "1.0.0"},
        **changes,
    }
    return Recipe.model_validate(content)


class WaitingFakes(Fakes):
    """Stages that wait for a line on stdin when they have finished."""

    def note(self, name: str) -> None:
        super().note(name)
        sys.stdin.readline()


def main() -> None:
    """Run the line once."""
    work, log, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    for module, name, fake in WaitingFakes(log, pause=pause).replacements():
        setattr(module, name, fake)
    report = run_module.run(recipe(work.parent), work=work)
    sys.stdout.write(json.dumps(report.as_json()))


if __name__ == "__main__":
    main()
