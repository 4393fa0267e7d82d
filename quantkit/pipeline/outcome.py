"""What a run reports: every step with its cost, the numbers that matter, the verdict, where the result is."""

from typing import Any, Literal

from pydantic import Field

from quantkit.artifact import Artifact
from quantkit.errors import PASSED
from quantkit.pipeline.line import Line
from quantkit.records.bench import BenchVerdict
from quantkit.records.evaluation import UNNAMED
from quantkit.records.gate import EXIT_CODES, Verdict
from quantkit.records.record import Record, Report

Action = Literal["run", "keep"]


class StepReport(Record):
    """One step: done now or kept from an earlier run, why, and what it cost when it was done."""

    step: str
    action: Action
    why: str
    seconds: float = 0.0
    peak_memory_bytes: int = 0


class Plan(Report):
    """What a run would do now."""

    format: str = Field(default="quantkit/plan/1", alias="schema")
    recipe: str
    work: str
    steps: tuple[StepReport, ...]


class Smaller(Record):
    """What was made of the recipe's checkpoint before it was quantized. Scores are in percent."""

    teacher: str = Field(description="digest of the recipe's checkpoint, whose export is the baseline")
    parameters: int | None = Field(default=None, description="of the student's FP32 artifact")
    teacher_parameters: int | None = None
    f1: float = Field(description="of the student's FP32 artifact, on the gate's questions")
    met: bool | None = Field(default=None, description="whether the search kept its limits; None without one")
    throughput: float | None = Field(
        default=None, description="over the INT8 teacher, as the search measured it; None without one"
    )
    before_training: float | None = Field(
        default=None, description="the metric on the selection; None without one"
    )
    after_training: float | None = None


class RunReport(Report):
    """A finished run. The metric (`f1`) and exact match are in percent, unrounded."""

    format: str = Field(default="quantkit/run/1", alias="schema")
    recipe: str
    work: str
    verdict: Verdict
    failed_checks: tuple[str, ...]
    metric: str = UNNAMED
    baseline_f1: float
    candidate_f1: float
    baseline_exact_match: float
    candidate_exact_match: float
    ratio: float
    changed: float = Field(description="share of questions whose F1, or answer, changed")
    questions: int
    int8_coverage: float
    baseline_bytes: int
    candidate_bytes: int
    qps_ratio: float | None = Field(
        description="candidate / baseline in the same bench; None without a bench, or when it was too noisy"
    )
    bench: BenchVerdict | None = Field(default=None, description="whether the bench could be measured")
    smaller: Smaller | None = Field(
        default=None, description="of a recipe that makes a smaller model; the baseline is then the original"
    )
    steps: tuple[StepReport, ...]
    seconds: float
    artifact: str = Field(description="digest of the candidate")
    published: str | None = Field(
        description="folder, or reference in an OCI registry; None when it was not published"
    )
    already_published: bool = False

    @property
    def exit_code(self) -> int:
        """0 passed, 3 failed, 4 inconclusive."""
        return EXIT_CODES.get(self.verdict, PASSED)


def sum_up(line: Line, steps: list[StepReport], seconds: float) -> RunReport:
    """Return the report of a line whose steps are done."""
    gate = line.gate
    return RunReport(
        recipe=line.recipe.name,
        work=str(line.work.path),
        verdict=gate.verdict,
        failed_checks=tuple(check.name for check in gate.checks if check.decides and check.verdict != "pass"),
        metric=gate.metric,
        baseline_f1=gate.baseline_f1,
        candidate_f1=gate.candidate_f1,
        baseline_exact_match=line.evaluation("baseline").exact_match,
        candidate_exact_match=line.evaluation("candidate").exact_match,
        ratio=gate.ratio,
        changed=gate.changed,
        questions=gate.questions,
        int8_coverage=line.inspection.int8_coverage,
        baseline_bytes=line.baseline.model_bytes,
        candidate_bytes=line.candidate.model_bytes,
        qps_ratio=line.bench.results[-1].ratio if line.bench else None,
        bench=line.bench.verdict if line.bench else None,
        smaller=_smaller(line) if line.recipe.makes_smaller else None,
        steps=tuple(steps),
        seconds=round(seconds, 3),
        artifact=line.candidate.digest,
        published=str(line.published.place) if line.published else None,
        already_published=line.published is not None and line.published.already,
    )


def _smaller(line: Line) -> Smaller:
    facts, original = (_export_facts(artifact) for artifact in (line.plain, line.baseline))
    search = line.searched.report if line.searched else None
    learned = line.learned.report if line.learned else None
    return Smaller(
        teacher=str(original.get("checkpoint_digest", "")),
        parameters=facts.get("parameters"),
        teacher_parameters=original.get("parameters"),
        f1=line.evaluation("student").f1,
        met=search.met if search else None,
        throughput=search.candidates[search.chosen].throughput if search else None,
        before_training=learned.evaluations[0].f1 if learned else None,
        after_training=max(learned.evaluations, key=lambda found: found.merit).f1 if learned else None,
    )


def _export_facts(artifact: Artifact) -> dict[str, Any]:
    record = artifact.manifest.stage("export")
    return {} if record is None else dict(record.facts)
