"""A student is judged as one: by its teacher's name and its embeddings, and not layer by layer."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_evidence import evaluation_of, inspection_of, lineage_of

from quantkit.artifact import Artifact, StageRecord, new_artifact
from quantkit.recipe.settings import GateSettings
from quantkit.records import Check, GateReport
from quantkit.verdict import GateEvidence, evidence_of, judge

ORIGINAL, STRANGER = "a" * 64, "b" * 64
STUDENT = GateSettings(student=True, resamples=100)


def artifact_of(path: Path, facts: dict[str, Any], *, size: int, words: str = "[PAD]\n") -> Artifact:
    with new_artifact(path, force=True) as draft:
        draft.model_path.write_bytes(b"m" * size)
        (draft.path / "config.json").write_text(f'{{"model": "{path.name}"}}')
        (draft.path / "vocab.txt").write_text(words)
        draft.record(
            task="squad",
            architecture="bert",
            precision="fp32" if size > 100 else "int8",
            stages=(StageRecord(stage="export", facts=facts),),
            parent=None,
        )
    return Artifact.open(path)


@pytest.fixture
def evidence(tmp_path: Path) -> Callable[..., GateEvidence]:
    """Return a maker of evidence of a student whose layers are none of its teacher's."""

    def make(
        teacher: str | None = ORIGINAL, *, agreement: float = 0.99, gain: float = 0.0, words: str = "[PAD]\n"
    ) -> GateEvidence:
        baseline = artifact_of(tmp_path / "fp32", {"checkpoint_digest": ORIGINAL}, size=400)
        facts = {} if teacher is None else {"teacher_digest": teacher}
        candidate = artifact_of(tmp_path / "int8", facts, size=100, words=words)
        lineage = lineage_of(candidate, baseline, 0.0)
        tables = tuple(table.model_copy(update={"agreement": agreement}) for table in lineage.tables)
        theirs = [1.0 - gain] * 200
        return evidence_of(
            candidate,
            baseline,
            evaluations=(evaluation_of(candidate, [1.0] * 200), evaluation_of(baseline, theirs)),
            inspections=(inspection_of(candidate, 1.0), inspection_of(baseline, 0.0)),
            lineage=lineage.model_copy(update={"tables": tables}),
        )

    return make


def check_of(report: GateReport, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)


def test_a_student_passes_by_its_teacher_and_its_embeddings(evidence: Callable[..., GateEvidence]) -> None:
    """Layers that are not the teacher's are said and not counted, where the gate is told that it is a student."""
    report = judge(evidence(), settings=STUDENT)

    assert report.verdict == "pass"
    assert check_of(report, "lineage").observed == (
        f"says its teacher is {ORIGINAL[:12]}, the baseline's checkpoint, same tokenizer"
    )
    assert "0 of 1 layers agree, not counted" in check_of(report, "weights").observed
    assert judge(evidence(), settings=GateSettings(resamples=100)).verdict == "fail"


@pytest.mark.parametrize(
    ("changes", "check", "observed"),
    [
        ({"teacher": None}, "lineage", "its export names no teacher, same tokenizer"),
        (
            {"teacher": STRANGER},
            "lineage",
            f"the teacher {STRANGER[:12]}, and the baseline is of {ORIGINAL[:12]}",
        ),
        ({"words": "[UNK]\n"}, "lineage", "differ in vocab.txt"),
        ({"agreement": 0.899}, "weights", "0.899000 in word_embeddings, the least of 1 tables"),
    ],
)
def test_what_is_no_student_of_the_baseline_fails(
    evidence: Callable[..., GateEvidence], changes: dict[str, Any], check: str, observed: str
) -> None:
    """No teacher or another one, another tokenizer, and embeddings of other signs each fail alone."""
    report = judge(evidence(**changes), settings=STUDENT)

    assert [found.name for found in report.checks if found.decides and found.verdict == "fail"] == [check]
    assert observed in check_of(report, check).observed


def test_a_baseline_without_tables_shows_nothing(evidence: Callable[..., GateEvidence]) -> None:
    """Where there is no embedding to compare, nothing binds the two, and the gate fails."""
    made = evidence()
    bare = dataclasses.replace(made, lineage=made.lineage.model_copy(update={"tables": ()}))
    assert check_of(judge(bare, settings=STUDENT), "weights").verdict == "fail"


def test_a_student_may_gain(evidence: Callable[..., GateEvidence]) -> None:
    """Training can make better what rounding cannot: of a student the gain is shown and not counted."""
    gained = evidence(gain=0.2)
    assert judge(gained, settings=STUDENT).verdict == "pass"
    shown = check_of(judge(gained, settings=STUDENT), "gain")
    assert (shown.verdict, shown.decides) == ("fail", False)


def test_settings_of_older_reports_stay_the_same() -> None:
    """A report is judged again by its own settings; the key is there only where it is said."""
    assert "student" not in GateSettings().as_json()
    assert STUDENT.as_json()["student"] is True
