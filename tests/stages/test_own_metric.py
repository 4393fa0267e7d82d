"""A metric of one's own from evaluate to the registry: whose code it was is said, and nothing is run to judge again."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from gate_evidence import evidence_for

from quantkit.artifact import Artifact
from quantkit.errors import EvaluationError, PublishRefused, UsageError
from quantkit.metrics.metric import measures_of, percent
from quantkit.metrics.own import own_mean
from quantkit.recipe.settings import EvaluateSettings, GateSettings
from quantkit.records import Evaluation, QuestionScore, scores_digest
from quantkit.records.evaluation import OwnMetricRecord
from quantkit.registry import RegistryPolicy
from quantkit.registry.evidence import require_evidence
from quantkit.stages.evaluate import evaluate, ingredients
from quantkit.stages.gate import gate, write_reports
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.own_metric import OwnMetric
from quantkit.verdict import GateEvidence

Make = Callable[..., Artifact]
LENGTH = """
def score(predictions, references):
    return [100.0 * (p in r) for p, r in zip(predictions, references)]

def together(predictions, references):
    return sum(p in r for p, r in zip(predictions, references)) / len(references)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnMetric:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(LENGTH)
    found = OwnMetric.allowed("mine:score", allow_code=True)
    assert found is not None
    return found


def asked(path: Path, function: str = "score") -> EvaluateSettings:
    return EvaluateSettings(data=str(path), metric=f"mine:{function}", token_budget=64)


def test_it_takes_the_place_of_the_tasks_metric(
    make_span_artifact: Make, span_questions: Path, own: OwnMetric
) -> None:
    """The evaluation says the function, its file's digest and what it gave each question; answers are the same."""
    artifact = make_span_artifact()
    plain = evaluate(artifact, settings=EvaluateSettings(data=str(span_questions), token_budget=64))
    found = evaluate(artifact, settings=asked(span_questions), own=own)
    assert [score.answer for score in found.scores] == [score.answer for score in plain.scores]
    assert [score.f1 for score in found.scores] == [float(score.exact_match) for score in plain.scores]
    assert (found.metric, found.own_metric) == (
        "mine:score",
        OwnMetricRecord(
            file="mine.py", sha256=own.source.sha256, by_row=True, chance=found.own_metric.chance
        ),
    )
    assert found.key == ingredients(artifact, asked(span_questions), DataPlaces()).key("evaluate")
    assert found.key != plain.key


def test_a_changed_function_scores_anew(
    make_span_artifact: Make, span_questions: Path, own: OwnMetric
) -> None:
    """No cache answers for a function: only for the model's answers."""
    artifact = make_span_artifact()
    before = evaluate(artifact, settings=asked(span_questions), own=own)
    Path("mine.py").write_text("def score(predictions, references):\n    return 0.5\n")
    changed = OwnMetric.allowed("mine:score", allow_code=True)
    after = evaluate(artifact, settings=asked(span_questions), own=changed)
    assert (after.f1, after.own_metric.by_row) == (50.0, False)
    assert after.key != before.key


def test_settings_alone_run_nothing(make_span_artifact: Make, span_questions: Path, own: OwnMetric) -> None:
    """The stage itself refuses a metric that nobody allowed."""
    with pytest.raises(UsageError, match="--allow-code"):
        evaluate(make_span_artifact(), settings=asked(span_questions))


def test_without_it_files_are_as_before(make_span_artifact: Make, span_questions: Path) -> None:
    """An evaluation by the task's metric does not mention others, nor does its key."""
    artifact = make_span_artifact()
    settings = EvaluateSettings(data=str(span_questions))
    found = evaluate(artifact, settings=settings)
    assert "own_metric" not in found.as_json()
    assert "metric" not in ingredients(artifact, settings, DataPlaces()).settings


def scored(
    evidence: GateEvidence, *, by_row: bool = True, chance: float = 20.0, sha256: str = "3" * 64
) -> GateEvidence:
    """Return the evidence as if an own function had given the same scores."""

    def by_own(evaluation: Evaluation) -> Evaluation:
        record = OwnMetricRecord(file="mine.py", sha256=sha256, by_row=by_row, chance=chance)
        metric = own_mean("mine:score", chance=chance, by_row=by_row)
        mean = evaluation.f1 / 100
        scores = tuple(
            QuestionScore(
                id=score.id,
                group=score.group,
                answer=score.answer,
                exact_match=score.exact_match,
                f1=score.f1 if by_row else mean,
            )
            for score in evaluation.scores
        )
        return evaluation.model_copy(
            update={
                "metric": "mine:score",
                "own_metric": record,
                "f1": percent(metric, measures_of(scores)),
                "predictions_sha256": scores_digest(scores),
                "scores": scores,
            }
        )

    return dataclasses.replace(
        evidence,
        candidate_evaluation=by_own(evidence.candidate_evaluation),
        baseline_evaluation=by_own(evidence.baseline_evaluation),
    )


RIGHT = [1.0] * 450 + [0.5] * 50


@pytest.fixture
def artifact(tmp_path: Path, make_artifact: Make) -> Artifact:
    return make_artifact(tmp_path / "artifact")


def test_a_verdict_says_whose_code_it_was(artifact: Artifact) -> None:
    """The report has the function's name and the digest of its file, and the interval is of its scores."""
    report = gate(scored(evidence_for(artifact, RIGHT, RIGHT)), settings=GateSettings(resamples=100))
    assert (report.verdict, report.metric, report.own_metric) == ("pass", "mine:score", "3" * 64)
    (check,) = [check for check in report.checks if check.name == "own metric"]
    assert check.observed == "mine:score of mine.py, sha256 333333333333, gave a score for each question"


def test_it_is_judged_again_without_code(artifact: Artifact) -> None:
    """What is published rests on scores that were recorded: no file named mine.py is anywhere."""
    evidence = scored(evidence_for(artifact, RIGHT, RIGHT))
    write_reports(gate(evidence, settings=GateSettings(resamples=100)), evidence)
    found = require_evidence(artifact)
    assert found.gate.own_metric == "3" * 64
    strict, open_ = RegistryPolicy(), RegistryPolicy(own_metrics=True)
    assert strict.unmet(found.gate, found.int8_coverage) == [
        "judged by mine:score, a metric of the publisher's own, and own_metrics is false"
    ]
    assert open_.unmet(found.gate, found.int8_coverage) == []


def test_one_number_is_gated_and_not_published(artifact: Artifact) -> None:
    """Of one number for all questions there is no interval, and nothing that could be judged again."""
    evidence = scored(evidence_for(artifact, RIGHT, RIGHT), by_row=False)
    statistical = gate(evidence, settings=GateSettings(policy="statistical", resamples=100))
    (check,) = [check for check in statistical.checks if check.name.endswith("statistical")]
    assert statistical.verdict == "inconclusive"
    assert check.observed.endswith("one number for all questions cannot be resampled")
    report = gate(evidence, settings=GateSettings(resamples=100))
    assert report.verdict == "pass"
    write_reports(report, evidence)
    with pytest.raises(PublishRefused, match="gave one number for all questions, so nobody can compute"):
        require_evidence(artifact)


def test_a_function_that_is_content_with_anything_fails(artifact: Artifact) -> None:
    """The baseline must be above what the function gives for answers of other questions."""
    report = gate(
        scored(evidence_for(artifact, RIGHT, RIGHT), chance=95.0), settings=GateSettings(resamples=100)
    )
    assert [check.name for check in report.checks if check.verdict == "fail"] == ["chance"]


def test_two_functions_are_not_compared(artifact: Artifact) -> None:
    """Both sides are scored by the same bytes, or there is no verdict."""
    evidence = evidence_for(artifact, RIGHT, RIGHT)
    mixed = dataclasses.replace(
        scored(evidence), baseline_evaluation=scored(evidence, sha256="4" * 64).baseline_evaluation
    )
    with pytest.raises(
        EvaluationError, match=r"scored by mine:score of mine\.py .* evaluate both by one function"
    ):
        gate(mixed, settings=GateSettings())


def test_it_is_never_taken_for_the_tasks_score(artifact: Artifact) -> None:
    """A card on the Hub and a table of artifacts call it by its name, or leave it out."""
    from quantkit.registry.hub.claims import Claims
    from quantkit.stages.report.carried import read

    evidence = scored(evidence_for(artifact, RIGHT, RIGHT))
    write_reports(gate(evidence, settings=GateSettings(resamples=100)), evidence)
    claims = Claims.of(require_evidence(artifact))
    assert [(kind, name) for kind, name, _ in claims.metrics] == [("mine_score", "mine:score")]
    assert claims.eval_results() == []
    (carried,) = read([artifact])
    assert carried.evaluations == {}
