"""Evidence of a gate for artifacts whose model is a few bytes: everything is what a gate writes, but the numbers."""

from collections.abc import Sequence

from quantkit.artifact import Artifact, Manifest
from quantkit.artifact.artifact import COMPANIONS
from quantkit.artifact.manifest import FileRecord, files_digest
from quantkit.records import (
    Evaluation,
    Inspection,
    Layer,
    Lineage,
    QuestionScore,
    WeightAgreement,
    scores_digest,
)
from quantkit.verdict import GateEvidence, evidence_of

DATASET = "1" * 64
EVALUATED = "2026-01-31T12:00:00Z"


def evaluation_of(artifact: Artifact, f1: Sequence[float], *, name: str = "tiny") -> Evaluation:
    """Return an evaluation with these scores; question i is on article i modulo 10."""
    scores = tuple(
        QuestionScore(id=f"q{i}", group=f"a{i % 10}", answer="x", exact_match=float(value == 1), f1=value)
        for i, value in enumerate(f1)
    )
    return Evaluation(
        key="0" * 64,
        artifact=artifact.digest,
        task=artifact.task,
        dataset=DATASET,
        dataset_name=name,
        f1=100 * sum(f1) / len(f1),
        exact_match=100 * sum(score.exact_match for score in scores) / len(scores),
        questions=len(scores),
        features=len(scores),
        seconds=1.0,
        features_per_second=1.0,
        evaluated=EVALUATED,
        predictions_sha256=scores_digest(scores),
        scores=scores,
    )


def inspection_of(artifact: Artifact, coverage: float) -> Inspection:
    """Return an inspection that agrees with the manifest; `coverage` counts in thousandths."""
    integer = round(1000 * coverage)
    manifest = artifact.manifest
    layers = tuple(
        Layer(name=name, shape=(1, 1), kernel=kernel, integer=kernel != "MatMul", macs=macs)
        for name, kernel, macs in (
            ("query", "MatMulIntegerToFloat", integer),
            ("key", "MatMul", 1000 - integer),
        )
    )
    expected = manifest.expected_fusions
    return Inspection(
        artifact=artifact.digest,
        architecture=manifest.architecture,
        task=manifest.task,
        precision=manifest.precision,
        parameters=10,
        size_bytes=artifact.model_bytes,
        fused=expected,
        expected_fusions=expected,
        kernels={"MatMul": 2, **expected},
        int8_coverage=integer / 1000,
        layers=layers,
    )


def lineage_of(candidate: Artifact, baseline: Artifact, agreement: float = 0.995) -> Lineage:
    """Return a lineage of one layer and one table."""
    return Lineage(
        artifact=candidate.digest,
        baseline=baseline.digest,
        layers=(WeightAgreement(name="query", agreement=agreement, entries=8),),
        tables=(WeightAgreement(name="word_embeddings", agreement=1.0, entries=8),),
    )


def baseline_of(candidate: Artifact) -> Artifact:
    """Return an FP32 artifact of 1 GB with the candidate's config and tokenizer, which is nowhere."""
    files = {name: record for name, record in candidate.manifest.files.items() if name in COMPANIONS}
    files["model.onnx"] = FileRecord(sha256="2" * 64, size=10**9)
    manifest = Manifest(
        digest=files_digest(files),
        task=candidate.task,
        architecture=candidate.manifest.architecture,
        precision="fp32",
        files=files,
    )
    return Artifact(path=candidate.path.with_name("nowhere"), manifest=manifest)


def evidence_for(
    candidate: Artifact, candidate_f1: Sequence[float], baseline_f1: Sequence[float]
) -> GateEvidence:
    """Return evidence that passes, unless the scores say otherwise."""
    baseline = baseline_of(candidate)
    return evidence_of(
        candidate,
        baseline,
        evaluations=(evaluation_of(candidate, candidate_f1), evaluation_of(baseline, baseline_f1)),
        inspections=(inspection_of(candidate, 1.0), inspection_of(baseline, 0.0)),
        lineage=lineage_of(candidate, baseline),
    )
