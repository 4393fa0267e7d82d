"""Forged evidence: an artifact that fails its gate is not published, verified or pulled, whatever its files say.

Each forgery changes files of an artifact whose F1 is 0.288 of its baseline's. It is tried twice: put in place of what
the gate wrote, and published by hand with a seal over it.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from security.forging import RIGHT, ROLLED, Forgery, assembled, evidence_files, judged, put_back

from quantkit.artifact import Artifact
from quantkit.errors import FAILED, MISTAKE, QuantkitError
from quantkit.files import digest_of
from quantkit.registry import DirectoryRegistry, verify_artifact
from quantkit.verdict.recorded import (
    BASELINE_EVALUATION,
    BASELINE_INSPECTION,
    BASELINE_MANIFEST,
    BASELINE_PREDICTIONS,
    EVALUATION,
    GATE,
    INSPECTION,
    LINEAGE,
    PREDICTIONS,
)

Change = Callable[[Forgery], None]
FORGERIES: dict[str, Change] = {}


def forgery(change: Change) -> Change:
    """Register a forgery under its function's name."""
    FORGERIES[change.__name__] = change
    return change


def say_pass(files: Forgery) -> None:
    """Set the verdict and every check's to pass, as the first thing a forger does."""
    files.change(GATE, verdict="pass")
    files.checks(lambda check: {**check, "verdict": "pass"})


def whole(files: Forgery, evaluation: str, predictions: str, scores: list[dict[str, Any]]) -> None:
    """Give one side these scores, with the F1, exact match, count and digest that are theirs."""
    files.put(predictions, scores)
    files.change(
        evaluation,
        f1=100 * sum(score["f1"] for score in scores) / len(scores),
        exact_match=100 * sum(score["exact_match"] for score in scores) / len(scores),
        questions=len(scores),
        predictions_sha256=digest_of(scores),
    )


@forgery
def verdict_only(files: Forgery) -> None:
    files.change(GATE, verdict="pass")


@forgery
def verdict_and_checks(files: Forgery) -> None:
    say_pass(files)


@forgery
def verdict_checks_and_ratio(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, ratio=1.0, kept_ratio=1.0)


@forgery
def one_invented_check(files: Forgery) -> None:
    files.change(GATE, verdict="pass", checks=[check("honesty")])


@forgery
def an_invented_check_more(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, checks=[*files.json(GATE)["checks"], check("honesty")])


@forgery
def no_checks(files: Forgery) -> None:
    files.change(GATE, verdict="pass", checks=[])


@forgery
def the_failing_check_left_out(files: Forgery) -> None:
    files.change(GATE, verdict="pass")
    files.checks(lambda check: None if check["verdict"] == "fail" else check)


@forgery
def the_failing_check_does_not_decide(files: Forgery) -> None:
    files.change(GATE, verdict="pass")
    files.checks(lambda check: {**check, "decides": check["verdict"] == "pass"})


@forgery
def a_check_twice(files: Forgery) -> None:
    say_pass(files)
    checks = files.json(GATE)["checks"]
    files.change(GATE, checks=[checks[0], *checks])


@forgery
def checks_in_another_order(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, checks=files.json(GATE)["checks"][::-1])


@forgery
def a_lower_requirement(files: Forgery) -> None:
    say_pass(files)
    files.checks(lambda check: {**check, "required": check["required"].replace("0.999", "0.29")})


@forgery
def f1_of_99_in_all_files(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, candidate_f1=99.9, baseline_f1=99.9, ratio=1.0, kept_ratio=1.0)
    files.change(EVALUATION, f1=99.9)
    files.change(BASELINE_EVALUATION, f1=99.9)


@forgery
def ratio_of_a_half_of_195(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, ratio=0.5, baseline_f1=195.7)


@forgery
def the_baselines_f1_lowered(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, baseline_f1=30.0, ratio=1.0, kept_ratio=1.0)
    files.change(BASELINE_EVALUATION, f1=30.0)


@forgery
def the_baselines_answers_lowered(files: Forgery) -> None:
    say_pass(files)
    whole(files, BASELINE_EVALUATION, BASELINE_PREDICTIONS, files.json(PREDICTIONS))


@forgery
def the_candidates_answers_raised(files: Forgery) -> None:
    say_pass(files)
    whole(files, EVALUATION, PREDICTIONS, files.json(BASELINE_PREDICTIONS))


@forgery
def predictions_that_are_no_json(files: Forgery) -> None:
    say_pass(files)
    files.texts[PREDICTIONS] = "not JSON"
    files.change(EVALUATION, predictions_sha256=digest_of(None))


@forgery
def predictions_that_are_null(files: Forgery) -> None:
    say_pass(files)
    files.put(PREDICTIONS, None)
    files.change(EVALUATION, predictions_sha256=digest_of(None))


@forgery
def predictions_that_are_empty(files: Forgery) -> None:
    say_pass(files)
    files.put(PREDICTIONS, [])
    files.change(EVALUATION, predictions_sha256=digest_of([]), questions=0, f1=100.0)


@forgery
def predictions_nested_without_end(files: Forgery) -> None:
    say_pass(files)
    files.texts[PREDICTIONS] = "[" * 100_000


@forgery
def an_f1_of_50_for_each_question(files: Forgery) -> None:
    say_pass(files)
    scores = [{**score, "f1": 50.0} for score in files.json(PREDICTIONS)]
    files.put(PREDICTIONS, scores)
    files.change(EVALUATION, f1=5000.0, predictions_sha256=digest_of(scores))
    files.change(GATE, candidate_f1=5000.0, ratio=50.0)


@forgery
def negative_scores_of_the_baseline(files: Forgery) -> None:
    say_pass(files)
    scores = [{**score, "f1": -score["f1"]} for score in files.json(BASELINE_PREDICTIONS)]
    files.put(BASELINE_PREDICTIONS, scores)
    files.change(BASELINE_EVALUATION, predictions_sha256=digest_of(scores))


@forgery
def wrong_answers_left_out(files: Forgery) -> None:
    say_pass(files)
    right = [score for score in files.json(PREDICTIONS) if score["f1"] == 1.0]
    whole(files, EVALUATION, PREDICTIONS, right)


@forgery
def wrong_answers_left_out_on_both_sides(files: Forgery) -> None:
    say_pass(files)
    right = [score for score in files.json(PREDICTIONS) if score["f1"] == 1.0]
    kept = {score["id"] for score in right}
    whole(files, EVALUATION, PREDICTIONS, right)
    theirs = [score for score in files.json(BASELINE_PREDICTIONS) if score["id"] in kept]
    whole(files, BASELINE_EVALUATION, BASELINE_PREDICTIONS, theirs)


@forgery
def one_right_answer_500_times(files: Forgery) -> None:
    say_pass(files)
    scores = files.json(PREDICTIONS)
    whole(files, EVALUATION, PREDICTIONS, [scores[0]] * len(scores))


@forgery
def a_limit_in_the_settings_alone(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, settings={**files.json(GATE)["settings"], "min_ratio": 0.01})


@forgery
def a_limit_in_the_report_alone(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, min_ratio=0.01)


@forgery
def settings_that_are_none(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, settings={"min_ratio": "none"})


@forgery
def the_other_policy(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, policy="statistical")


@forgery
def an_interval_above_the_limit(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, interval={"low": 0.9995, "high": 1.0, "confidence": 0.9}, p_value=0.001)


@forgery
def another_dataset(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, dataset="9" * 64)


@forgery
def the_name_of_squad(files: Forgery) -> None:
    say_pass(files)
    for name in (GATE, EVALUATION, BASELINE_EVALUATION):
        files.change(name, dataset_name="squad")


@forgery
def more_questions(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, questions=10_570)


@forgery
def nan_as_ratio(files: Forgery) -> None:
    say_pass(files)
    files.texts[GATE] = files.texts[GATE].replace('"ratio": 0.288', '"ratio": NaN')


@forgery
def another_baseline(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, baseline="9" * 64)


@forgery
def a_manifest_of_another_baseline(files: Forgery) -> None:
    say_pass(files)
    files.change(BASELINE_MANIFEST, digest="9" * 64)


@forgery
def a_baseline_that_is_the_candidate(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, baseline=files.json(GATE)["artifact"])
    for name in (BASELINE_EVALUATION, BASELINE_INSPECTION):
        files.change(name, artifact=files.json(GATE)["artifact"])


@forgery
def the_candidates_own_answers_as_the_baselines(files: Forgery) -> None:
    say_pass(files)
    files.texts[BASELINE_EVALUATION] = files.texts[EVALUATION]
    files.texts[BASELINE_PREDICTIONS] = files.texts[PREDICTIONS]


@forgery
def a_lineage_of_others(files: Forgery) -> None:
    say_pass(files)
    files.change(LINEAGE, artifact="9" * 64)


@forgery
def an_agreement_beyond_1(files: Forgery) -> None:
    say_pass(files)
    layers = files.json(LINEAGE)["layers"]
    files.change(LINEAGE, layers=[{**layers[0], "agreement": 7.0}])


@forgery
def an_inspection_of_others(files: Forgery) -> None:
    say_pass(files)
    files.change(INSPECTION, artifact="9" * 64)


@forgery
def no_report_at_all(files: Forgery) -> None:
    files.put(GATE, None)


@forgery
def a_report_nested_without_end(files: Forgery) -> None:
    files.texts[GATE] = "[" * 100_000


@forgery
def a_report_of_the_first_schema(files: Forgery) -> None:
    say_pass(files)
    files.change(GATE, schema="quantkit/gate/1")


@pytest.fixture
def bad(tmp_path: Path, make_artifact) -> Artifact:
    """Return an artifact that failed its gate."""
    artifact: Artifact = make_artifact(tmp_path / "artifact")
    judged(artifact, ROLLED)
    return artifact


def check(name: str) -> dict[str, Any]:
    return {"name": name, "required": "yes", "observed": "yes", "verdict": "pass", "decides": True}


UNREADABLE = {
    "predictions_that_are_no_json",
    "predictions_that_are_null",
    "predictions_that_are_empty",
    "predictions_nested_without_end",
    "an_f1_of_50_for_each_question",
    "negative_scores_of_the_baseline",
    "settings_that_are_none",
    "nan_as_ratio",
    "a_manifest_of_another_baseline",
    "an_agreement_beyond_1",
    "no_report_at_all",
    "a_report_nested_without_end",
}
"""Files that are not of their form, ranges and seals included: exit code 2. What can be read and does not hold is 3."""


def exit_code(name: str) -> int:
    """Return what publish, verify and pull all end with for a forgery."""
    return MISTAKE if name in UNREADABLE else FAILED


def refusal(call: Callable[[], Any]) -> QuantkitError:
    """Return the refusal, which is one line with exit code 2 or 3."""
    with pytest.raises(QuantkitError) as refused:
        call()
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.exit_code in (MISTAKE, FAILED)
    return refused.value


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_gate_is_not_published(bad: Artifact, tmp_path: Path, name: str) -> None:
    """What is put in place of the gate's files is judged again, and refused in one line."""
    files = evidence_files(bad)
    FORGERIES[name](files)
    put_back(bad, files)
    registry = DirectoryRegistry(tmp_path / "registry")
    refused = refusal(lambda: registry.publish(Artifact.open(bad.path), name="tiny", version="1"))
    assert refused.exit_code == exit_code(name)
    assert registry.names() == []


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_release_is_not_verified(bad: Artifact, tmp_path: Path, name: str) -> None:
    """What is published by hand, seal and all, is judged again by verify and pull."""
    files = evidence_files(bad)
    FORGERIES[name](files)
    registry = DirectoryRegistry(tmp_path / "registry")
    place = assembled(bad, registry.folder / "tiny" / "1", files)
    found = registry.verify("tiny:1")
    assert not found.verified
    assert found.verdict is None
    assert not verify_artifact(place).verified
    refused = refusal(lambda: registry.pull("tiny:1", tmp_path / "out"))
    assert found.exit_code == refused.exit_code == exit_code(name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "loose",
    [
        {"min_ratio": 0.01},
        {"reference_f1": 1.0},
        {"reference_f1": 28.0, "min_ratio": 1.0},
        {"policy": "statistical", "min_ratio": 0.1},
    ],
)
def test_a_gate_below_the_floor_is_not_published(
    tmp_path: Path, make_artifact, loose: dict[str, Any]
) -> None:
    """A gate that was asked for nothing passes, and its evidence is true; the registry's policy stops it."""
    artifact: Artifact = make_artifact(tmp_path / "artifact")
    judged(artifact, ROLLED, **loose)
    files = evidence_files(artifact)
    assert files.json(GATE)["verdict"] == "pass"
    registry = DirectoryRegistry(tmp_path / "registry")
    error = refusal(lambda: registry.publish(artifact, name="tiny", version="1"))
    assert "the registry's policy.yaml is not met" in str(error)
    assembled(artifact, registry.folder / "tiny" / "1", files)
    assert "policy.yaml is not met" in str(registry.verify("tiny:1").problem)


@pytest.mark.parametrize("name", ["gate.md", "gate.junit.xml"])
def test_what_people_read_says_what_the_report_says(tmp_path: Path, make_artifact, name: str) -> None:
    """The summary beside a report is made from it, and one that says something else is refused."""
    artifact: Artifact = make_artifact(tmp_path / "artifact")
    judged(artifact, RIGHT)
    path = artifact.report_path(name)
    path.write_text(path.read_text().replace("100", "101"))
    registry = DirectoryRegistry(tmp_path / "registry")
    error = refusal(lambda: registry.publish(artifact, name="tiny", version="1"))
    assert name in str(error)


def test_what_evidence_without_a_key_does_not_say(bad: Artifact, tmp_path: Path) -> None:
    """Whoever writes all files anew, scores included, and seals them is not found out: that takes a signature."""
    honest = evidence_files(bad)
    judged(bad, RIGHT)
    forged = copy.deepcopy(evidence_files(bad))
    assert forged.texts != honest.texts
    assert verify_artifact(assembled(bad, tmp_path / "registry" / "tiny" / "1", forged)).verified
