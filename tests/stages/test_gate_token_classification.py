"""The gate on entities: what is judged is F1 of sums, recomputed from each sentence's counts."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ArtifactMaker
from family_checkpoints import write_checkpoint
from gate_evidence import evidence_for

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError, EvaluationError
from quantkit.pipeline import judging
from quantkit.recipe.settings import (
    EvaluateSettings,
    ExportSettings,
    FuseSettings,
    GateSettings,
    QuantizeSettings,
)
from quantkit.records import Evaluation, GateReport, QuestionScore, scores_digest
from quantkit.stages.evaluate import evaluate
from quantkit.stages.export import export
from quantkit.stages.fuse import fuse
from quantkit.stages.quantize import quantize
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Reader
from quantkit.verdict import GateEvidence, judge

Counts = list[tuple[int, int, int]]
SENTENCES = 400
RIGHT: Counts = [(2, 0, 0)] * SENTENCES


def evidence(artifact: Artifact, candidate: Counts, baseline: Counts) -> GateEvidence:
    """Return evidence of sentences with so many entities right, wrong and missed."""
    plain = evidence_for(artifact, [1.0] * len(candidate), [1.0] * len(baseline))
    task = {"task": "token-classification"}

    def measured(evaluation: Evaluation, counts: Counts) -> Evaluation:
        scores = tuple(
            score.model_copy(
                update={
                    "measures": tuple(map(float, one)),
                    "answer": f"{one}",
                    "exact_match": float(one[1:] == (0, 0)),
                }
            )
            for score, one in zip(evaluation.scores, counts, strict=True)
        )
        right, wrong, missed = map(sum, zip(*counts, strict=True))
        changes = {
            **task,
            "metric": "entity F1",
            "f1": 100 * (2 * right / (2 * right + wrong + missed)),
            "exact_match": 100 * sum(score.exact_match for score in scores) / len(scores),
            "scores": scores,
            "predictions_sha256": scores_digest(scores),
        }
        return evaluation.model_copy(update=changes)

    def named(one: Artifact) -> Artifact:
        return dataclasses.replace(one, manifest=one.manifest.model_copy(update=task))

    return dataclasses.replace(
        plain,
        candidate=named(plain.candidate),
        baseline=named(plain.baseline),
        candidate_evaluation=measured(plain.candidate_evaluation, candidate),
        baseline_evaluation=measured(plain.baseline_evaluation, baseline),
        inspection=plain.inspection.model_copy(update=task),
        baseline_inspection=plain.baseline_inspection.model_copy(update=task),
    )


def verdict(report: GateReport, name: str) -> str:
    return next(check.verdict for check in report.checks if check.name == name)


def test_the_same_entities_pass(make_artifact: ArtifactMaker, tmp_path: Path) -> None:
    """A candidate that finds what its baseline finds passes, and the report says the metric's name."""
    report = judge(evidence(make_artifact(tmp_path / "a"), RIGHT, RIGHT), settings=GateSettings())
    assert (report.verdict, report.metric, report.ratio, report.changed) == ("pass", "entity F1", 1.0, 0.0)
    assert verdict(report, "entity F1 mlperf") == "pass"


@pytest.mark.parametrize("policy", ["mlperf", "statistical"])
def test_lost_entities_fail(make_artifact: ArtifactMaker, tmp_path: Path, policy: str) -> None:
    """The negative control: a tenth of the entities missed and mistaken fails by both policies."""
    lost = [(1, 1, 1)] * (SENTENCES // 5) + RIGHT[SENTENCES // 5 :]
    settings = GateSettings.model_validate({"policy": policy, "min_ratio": 0.99})
    report = judge(evidence(make_artifact(tmp_path / "a"), lost, RIGHT), settings=settings)
    assert report.verdict == "fail"
    assert (report.ratio, report.changed) == (pytest.approx(0.9, abs=1e-12), 0.2)
    assert verdict(report, f"entity F1 {policy}") == "fail"


def test_a_long_sentence_weighs_by_its_entities(make_artifact: ArtifactMaker, tmp_path: Path) -> None:
    """One sentence of 400 with half of all entities, all lost: a mean of sentences would have kept 0.9975."""
    long = [(2 * (SENTENCES - 1), 0, 0), *RIGHT[1:]]
    lost = [(0, 0, 2 * (SENTENCES - 1)), *RIGHT[1:]]
    report = judge(evidence(make_artifact(tmp_path / "a"), lost, long), settings=GateSettings(min_ratio=0.99))
    assert report.ratio == pytest.approx(2 / 3, abs=1e-12)
    assert report.verdict == "fail"


def test_other_gold_is_other_data(make_artifact: ArtifactMaker, tmp_path: Path) -> None:
    """Both sides must have had as many entities to find in each sentence."""
    with pytest.raises(EvaluationError, match="evaluate both on the same data"):
        judge(
            evidence(make_artifact(tmp_path / "a"), [(3, 0, 0)] * SENTENCES, RIGHT), settings=GateSettings()
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"f1": 99.0}, "says entity F1 99.0, which its measures do not give"),
        ({"metric": "accuracy"}, "is of a metric 'accuracy', which token-classification does not have"),
    ],
)
def test_numbers_that_measures_do_not_give_are_refused(
    make_artifact: ArtifactMaker, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    """Nothing is believed that can be computed."""
    found = evidence(make_artifact(tmp_path / "a"), RIGHT, RIGHT)
    forged = found.candidate_evaluation.model_copy(update=changes)
    with pytest.raises(ArtifactError, match=said):
        judge(dataclasses.replace(found, candidate_evaluation=forged), settings=GateSettings())


def test_scores_with_measures_are_bound_by_the_digest() -> None:
    """Changed counts are other predictions."""
    one = QuestionScore(id="1", group="1", answer="", exact_match=0, f1=0, measures=(1.0, 0.0, 0.0))
    assert scores_digest([one]) != scores_digest([one.model_copy(update={"measures": (2.0, 0.0, 0.0)})])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_from_checkpoint_to_verdict(tmp_path: Path, exact_grid: str) -> None:
    """INT8 of a model passes on what the model itself finds; INT8 of another one with its files fails."""
    names = {str(number): name for number, name in enumerate(("O", "B-PER", "I-PER", "B-LOC"))}
    fused = [_fused(tmp_path / f"model-{seed}", seed, names) for seed in (7, 8)]
    words = ["Ann", "wrote", "it", "on", "a", "cold", "day", "agent", "letter", "42", "."]
    random = np.random.default_rng(0)
    rows = [{"tokens": [str(word) for word in random.choice(words, 8)]} for _ in range(80)]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for row, tags in zip(rows, _tags(fused[0], data), strict=True):
        row["ner_tags"] = tags
    told = tmp_path / "told.jsonl"
    told.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = EvaluateSettings(data=str(told))
    assert evaluate(fused[0], settings=settings).f1 == 100.0
    terms = judging.Terms(evaluate=settings, gate=GateSettings(min_ratio=0.8, min_int8_coverage=0.5))
    verdicts = []
    for number, source in enumerate(fused):
        quantized = quantize(
            source,
            tmp_path / f"int8-{number}",
            settings=QuantizeSettings.model_validate({"mode": "dynamic", "weight_type": exact_grid}),
            data_dir=None,
        )
        report = judging.judge(quantized, fused[0], terms=terms, data_dir=None)
        verdicts.append((report.metric, verdict(report, "entity F1 mlperf"), verdict(report, "weights")))
    assert verdicts == [("entity F1", "pass", "pass"), ("entity F1", "fail", "fail")]


def _fused(folder: Path, seed: int, names: dict[str, str]) -> Artifact:
    torch = pytest.importorskip("torch")
    write_checkpoint(
        folder / "checkpoint", "nomic_bert", "token-classification", num_labels=len(names), id2label=names
    )
    from safetensors.torch import load_file, save_file

    path = folder / "checkpoint" / "model.safetensors"
    torch.manual_seed(seed)
    weights = {
        name: weight + 0.3 * torch.randn_like(weight)
        if seed != 7
        else weight * (8 if "classifier" in name else 1)
        for name, weight in load_file(path).items()
    }
    save_file(weights, path, metadata={"format": "pt"})
    exported = export(
        str(folder / "checkpoint"),
        folder / "exported",
        task="token-classification",
        settings=ExportSettings(),
    )
    return fuse(exported, folder / "fused", settings=FuseSettings())


def _tags(artifact: Artifact, data: Path) -> list[list[str]]:
    """Return what a model says of the words, straight from its graph."""
    import onnxruntime

    prepared = Reader.of(artifact).prepare(load(str(data), artifact.task, None))
    session = onnxruntime.InferenceSession(artifact.model_path, providers=["CPUExecutionProvider"])
    found = []
    for row in prepared.rows:
        feeds = {
            "input_ids": row.input_ids,
            "attention_mask": np.ones_like(row.input_ids),
            "token_type_ids": row.token_type_ids,
        }
        (logits,) = session.run(None, {entry.name: feeds[entry.name][None] for entry in session.get_inputs()})
        found.append([row.labels[best] for best in logits[0][row.places].argmax(axis=1)])
    return found
