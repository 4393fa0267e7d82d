"""The policy of a registry: floors that no gate's own settings can lower."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from gate_evidence import DATASET, EVALUATED, baseline_of, evaluation_of

from quantkit.artifact import Artifact
from quantkit.errors import PublishRefused, RegistryError
from quantkit.registry import DirectoryRegistry, RegistryPolicy, verify_artifact
from quantkit.registry.admission import Admission
from quantkit.shipped import recipes_folder


@pytest.fixture
def registry(tmp_path: Path) -> DirectoryRegistry:
    (tmp_path / "registry").mkdir()
    return DirectoryRegistry(tmp_path / "registry")


@pytest.fixture
def passed(tmp_path: Path, make_artifact, pass_gate) -> Artifact:
    artifact: Artifact = make_artifact(tmp_path / "artifact")
    pass_gate(artifact)
    return artifact


def write(registry: DirectoryRegistry, text: str) -> None:
    (registry.folder / "policy.yaml").write_text(text + "\n")


def test_without_a_file_the_strict_defaults_hold(registry: DirectoryRegistry) -> None:
    """A registry that says nothing is not one that lets everything in."""
    assert registry.policy() == RegistryPolicy()
    assert registry.policy().said() == (
        "ratio >= 0.99, questions >= 500, INT8 coverage >= 0.9, policy mlperf or statistical, any dataset, no override"
    )


def test_what_is_printed_reads_back(registry: DirectoryRegistry) -> None:
    """`quantkit policy` prints a file that says the same."""
    policy = RegistryPolicy(least_questions=10_570, datasets=("a" * 64,), greatest_age_days=30, override=True)
    write(registry, policy.as_yaml())
    assert registry.policy() == policy
    assert "evaluated in the last 30 days" in policy.said()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("least_question: 5", r"policy.yaml:1: least_question: unknown key; did you mean least_questions\?"),
        ("least_ratio: much", r"policy.yaml:1: least_ratio: expected a number, got 'much'"),
        (
            "least_questions: 0",
            r"policy.yaml:1: least_questions: should be greater than or equal to 1, got 0",
        ),
        ("datasets: [squad]", r"policy.yaml:1: datasets\.0: "),
        ("policies: []", r"policy.yaml:1: policies: "),
        ("policies: [kind]", r"policy.yaml:1: policies\.0: expected 'mlperf' or 'statistical', got 'kind'"),
        ("[]", r"policy.yaml: expected keys such as least_ratio"),
    ],
)
def test_a_policy_that_is_none_lets_nothing_in(
    registry: DirectoryRegistry, passed: Artifact, text: str, said: str
) -> None:
    """A slip in the policy is an error with its line, and never a looser policy."""
    write(registry, text)
    with pytest.raises(RegistryError, match=said):
        registry.publish(passed, name="tiny", version="1")
    assert registry.names() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("least_questions: 501", "500 questions, and least_questions is 501"),
        ("policies: [statistical]", "judged by policy mlperf, and policies are statistical"),
        (f"datasets: ['{'9' * 64}']", "dataset 111111111111 .tiny. is none of datasets"),
        (f"baselines: ['{'9' * 64}']", "baseline .* is none of baselines"),
        ("greatest_age_days: 1", f"evaluated {EVALUATED}, and greatest_age_days is 1"),
    ],
)
def test_what_falls_short_is_refused(
    registry: DirectoryRegistry, passed: Artifact, text: str, said: str
) -> None:
    """Each floor names itself and what was found, and the refusal is exit code 3."""
    write(registry, text)
    with pytest.raises(PublishRefused, match=said) as refused:
        registry.publish(passed, name="tiny", version="1")
    assert refused.value.exit_code == 3
    with pytest.raises(PublishRefused, match="--override is not allowed there"):
        registry.publish(passed, name="tiny", version="1", override="in a hurry")


def test_students_are_let_in_unless_the_policy_says_no(tmp_path: Path, make_artifact, pass_gate) -> None:
    """A model that was trained, on what only its maker knows, is the registry owner's choice."""
    gate = pass_gate(make_artifact(tmp_path / "int8"))
    student = gate.model_copy(update={"settings": {**gate.settings, "student": True}})
    closed = RegistryPolicy(students=False)
    assert [RegistryPolicy().unmet(student, 1.0), closed.unmet(gate, 1.0)] == [[], []]
    assert closed.unmet(student, 1.0) == ["judged as a student of its baseline, and students is false"]
    assert "no students" in closed.said()


def test_what_meets_the_policy_is_published_with_it(registry: DirectoryRegistry, passed: Artifact) -> None:
    """The policy that let an artifact in is in its evidence, with no override."""
    write(
        registry,
        f"least_questions: 500\ndatasets: ['{DATASET}']\nbaselines: ['{baseline_of(passed).digest}']",
    )
    place = registry.publish(passed, name="tiny", version="1")
    admission = Admission.of(Artifact.open(place))
    assert admission == Admission(policy=registry.policy())
    assert registry.verify("tiny:1").verified


def test_a_reason_passes_over_a_policy_that_allows_it(
    registry: DirectoryRegistry, passed: Artifact, tmp_path: Path
) -> None:
    """The reason and what was passed over are published, and verify and pull respect them."""
    write(registry, "least_questions: 501\noverride: true")
    with pytest.raises(PublishRefused, match="least_questions is 501; give a reason with --override"):
        registry.publish(passed, name="tiny", version="1")
    with pytest.raises(PublishRefused, match="--override needs a reason in words"):
        registry.publish(passed, name="tiny", version="1", override=" ")
    place = registry.publish(passed, name="tiny", version="1", override="all there are")
    admission = Admission.of(Artifact.open(place))
    assert admission is not None
    assert (admission.override, admission.unmet) == (
        "all there are",
        ("500 questions, and least_questions is 501",),
    )
    assert registry.verify("tiny:1").verified
    registry.pull("tiny:1", tmp_path / "out")
    assert verify_artifact(tmp_path / "out").verified


def test_a_registry_can_be_tightened(registry: DirectoryRegistry, passed: Artifact, tmp_path: Path) -> None:
    """What is published is held to the policy as it is now; a copy elsewhere to the one that let it in."""
    place = registry.publish(passed, name="tiny", version="1")
    write(registry, "least_questions: 501")
    assert registry.verify("tiny:1").problem == (
        f"{place}: the registry's policy.yaml is not met: 500 questions, and least_questions is 501"
    )
    with pytest.raises(PublishRefused, match="least_questions is 501"):
        registry.pull("tiny:1", tmp_path / "out")
    assert verify_artifact(place).verified


@pytest.mark.parametrize(
    ("evaluated", "days", "fits"),
    [
        ("2026-01-31T12:00:00Z", 1.0, True),
        ("2026-01-29T12:00:00Z", 1.0, False),
        ("2027-01-01T00:00:00Z", 1.0, False),
        ("", 1.0, False),
        ("soon", 1.0, False),
        ("", None, True),
    ],
)
def test_the_age_of_an_evaluation(passed: Artifact, evaluated: str, days: float | None, fits: bool) -> None:
    """Too old, from the future, and of unknown time are all no evidence of the last days."""
    evaluation = evaluation_of(passed, [1.0]).model_copy(update={"evaluated": evaluated})
    now = datetime.datetime(2026, 2, 1, tzinfo=datetime.UTC)
    assert (RegistryPolicy(greatest_age_days=days).too_old(evaluation, now) == []) == fits


def test_shipped_recipes_ask_for_what_the_default_asks() -> None:
    """No shipped recipe gates below the floor of a registry without a policy."""
    from quantkit.recipe import load_recipe

    policy = RegistryPolicy()
    for path in recipes_folder().glob("*.yaml"):
        gate: Any = load_recipe(path).gate
        assert gate.min_ratio >= policy.least_ratio, path
        assert gate.min_int8_coverage >= policy.least_int8_coverage, path
        assert gate.reference_f1 is None or gate.reference_f1 in policy.reference_f1, path
