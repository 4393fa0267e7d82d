"""The gate's checks of embeddings, each with a model that the other one lets pass."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from conftest import ArtifactMaker
from gate_evidence import evidence_for

from quantkit.errors import ArtifactError
from quantkit.metrics.embeddings import packed
from quantkit.recipe.settings import GateSettings
from quantkit.records import Evaluation
from quantkit.verdict import GateEvidence
from quantkit.verdict.embeddings import check_embeddings

TEXTS, HIDDEN = 80, 32


def evidence(artifact, found: np.ndarray, reference: np.ndarray) -> GateEvidence:
    """Return evidence of pairs whose embeddings are the rows, two for each pair."""

    def answering(evaluation: Evaluation, rows: np.ndarray) -> Evaluation:
        words = [packed(row) for row in rows]
        scores = [
            score.model_copy(update={"answer": " ".join(words[2 * place : 2 * place + 2])})
            for place, score in enumerate(evaluation.scores)
        ]
        return evaluation.model_copy(update={"scores": tuple(scores)})

    right = [1.0] * (TEXTS // 2)
    plain = evidence_for(artifact, right, right)
    task = {"task": "sentence-similarity"}
    return dataclasses.replace(
        plain,
        candidate=dataclasses.replace(artifact, manifest=artifact.manifest.model_copy(update=task)),
        candidate_evaluation=answering(plain.candidate_evaluation, found),
        baseline_evaluation=answering(plain.baseline_evaluation, reference),
    )


def rows(seed: int = 0) -> np.ndarray:
    """Return embeddings of texts that have much in common, as those of encoders have."""
    return (1 + np.random.default_rng(seed).normal(size=(TEXTS, HIDDEN))).astype(np.float32)


def verdicts(found: np.ndarray, artifact) -> dict[str, str]:
    checks = check_embeddings(evidence(artifact, found, rows()), GateSettings())
    assert all(check.decides for check in checks)
    return {check.name: check.verdict for check in checks}


def test_small_noise_passes(make_artifact: ArtifactMaker, tmp_path: Path) -> None:
    """What rounding does to embeddings passes both."""
    noise = 0.01 * np.random.default_rng(5).normal(size=(TEXTS, HIDDEN)).astype(np.float32)
    assert verdicts(rows() + noise, make_artifact(tmp_path / "a")) == {
        "cosine": "pass",
        "nearest texts": "pass",
    }


def test_shuffled_channels_fail_the_cosine(make_artifact: ArtifactMaker, tmp_path: Path) -> None:
    """Every pair keeps its cosine and every text its neighbours, and no embedding is the baseline's."""
    found = rows()[:, np.random.default_rng(1).permutation(HIDDEN)]
    assert verdicts(found, make_artifact(tmp_path / "a")) == {"cosine": "fail", "nearest texts": "pass"}


def test_saturated_embeddings_fail_the_neighbours(make_artifact: ArtifactMaker, tmp_path: Path) -> None:
    """A model that gives all texts nearly one embedding keeps the direction that they have in common."""
    common = rows() * 0.1 + 3
    found = np.minimum(common, 3.0)
    checks = check_embeddings(evidence(make_artifact(tmp_path / "a"), found, common), GateSettings())
    assert {check.name: check.verdict for check in checks} == {"cosine": "pass", "nearest texts": "fail"}


def test_limits_are_settings(make_artifact: ArtifactMaker, tmp_path: Path) -> None:
    """`min_cosine` and `min_overlap` decide."""
    lax = GateSettings(min_cosine=-1, min_overlap=0)
    checks = check_embeddings(evidence(make_artifact(tmp_path / "a"), rows(1), rows()), lax)
    assert [check.verdict for check in checks] == ["pass", "pass"]


def test_other_tasks_have_no_such_checks(make_artifact: ArtifactMaker, tmp_path: Path) -> None:
    """A span is no embedding."""
    assert check_embeddings(evidence_for(make_artifact(tmp_path / "a"), [1.0], [1.0]), GateSettings()) == ()


def test_answers_without_embeddings_are_refused(make_artifact: ArtifactMaker, tmp_path: Path) -> None:
    """Evidence that says nothing of embeddings is no evidence."""
    shown = evidence(make_artifact(tmp_path / "a"), rows(), rows())
    scores = shown.candidate_evaluation.scores
    spoilt = (scores[0].model_copy(update={"answer": "a text"}), *scores[1:])
    worse = shown.candidate_evaluation.model_copy(update={"scores": spoilt})
    with pytest.raises(ArtifactError, match="the answer to q0 holds no embedding"):
        check_embeddings(dataclasses.replace(shown, candidate_evaluation=worse), GateSettings())
