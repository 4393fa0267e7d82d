"""Answers and their scores: onnxruntime in this environment, OpenVINO in its own on the same batches."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from environments import Environment
from rows import Scores

from quantkit.artifact import Artifact
from quantkit.graph.kernels import trace_execution
from quantkit.runtime.engine import ThreadEngine
from quantkit.runtime.run import Job, plan, run_job
from quantkit.runtime.session import Session
from quantkit.tasks import Dataset, Feature, FeatureSettings, task
from quantkit.tasks.task import Outputs
from quantkit.tasks.tokenizer import Tokenizer

TOKEN_BUDGET = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Exam:
    """Questions, featurized and cut into batches once, for every form.

    Attributes:
        config: the checkpoint's config.json.
    """

    task: str
    dataset: Dataset
    features: Sequence[Feature]
    job: Job
    config: Mapping[str, Any]


def make_exam(
    artifact: Artifact, dataset: Dataset, *, token_budget: int = TOKEN_BUDGET, equal_lengths: bool = False
) -> Exam:
    """Featurize a dataset with the artifact's tokenizer; `equal_lengths`: only rows of one length share a batch."""
    tokenizer = Tokenizer.load(artifact.path)
    features = task(artifact.task).featurize(dataset, tokenizer, FeatureSettings())
    job = plan(
        features,
        token_budget=token_budget,
        pad_id=tokenizer.pad_id,
        name=lambda index: f"question {dataset.examples[features[index].example].id}",
        equal_lengths=equal_lengths,
    )
    return Exam(task=artifact.task, dataset=dataset, features=features, job=job, config=artifact.config)


def write_batches(exam: Exam, path: Path) -> None:
    """Write every batch's graph inputs as `<input>.<batch>`."""
    np.savez(
        path,
        **{
            f"{name}.{index}": array
            for index, batch in enumerate(exam.job.batches)
            for name, array in exam.job.feeds(batch).items()
        },
    )


def score_onnxruntime(path: Path, exam: Exam, threads: int) -> Scores:
    """Answer and score in onnxruntime, the way `quantkit evaluate` does."""
    session = Session(path, outputs=task(exam.task).outputs)
    with ThreadEngine([session] * threads) as engine:
        return _score(exam, run_job(engine, exam.job, label=path.parent.name))


def coverage_onnxruntime(path: Path, exam: Exam) -> float:
    """Return the INT8 coverage as executed, in percent."""
    outputs = task(exam.task).outputs
    return 100.0 * trace_execution(path, outputs=outputs, config=exam.config).int8_coverage


def score_openvino(
    environment: Environment, model: Path, exam: Exam, batches: Path, arguments: Sequence[str], timeout: float
) -> tuple[Scores, dict[str, Any]]:
    """Answer in OpenVINO and score here.

    Args:
        environment: where OpenVINO is.
        model: ONNX file, or OpenVINO's own form.
        exam: the questions.
        batches: the exam's batches, written.
        arguments: more of `runners/answer.py`.
        timeout: in seconds.

    Returns:
        The scores, and what the script says: `precision` and `coverage` (0 to 1).

    Raises:
        PeerFailed: OpenVINO cannot read or run the model.
    """
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        stored = Path(folder) / "outputs.npz"
        facts = environment.run("runners/answer.py", [model, batches, stored, *arguments], timeout=timeout)
        positions = [facts["outputs"].index(name) for name in task(exam.task).outputs]
        outputs = _per_feature(exam, stored, positions)
    return _score(exam, outputs), facts


def _per_feature(exam: Exam, stored: Path, positions: Sequence[int]) -> list[Outputs]:
    """Cut the batches' outputs, [rows, tokens] or [rows, labels], into those of single features."""
    by_position = tuple(name.endswith("_logits") for name in task(exam.task).outputs)
    found: dict[int, Outputs] = {}
    with np.load(stored) as arrays:
        for number, batch in enumerate(exam.job.batches):
            outputs = [arrays[f"{position}.{number}"] for position in positions]
            for place, index in enumerate(batch.indices):
                tokens = len(exam.features[index].input_ids)
                found[index] = tuple(
                    array[place, :tokens] if cut else array[place]
                    for array, cut in zip(outputs, by_position, strict=True)
                )
    return [found[index] for index in range(len(exam.features))]


def _score(exam: Exam, outputs: Sequence[Outputs]) -> Scores:
    predictions = task(exam.task).predict(exam.dataset, exam.features, outputs, FeatureSettings())
    return Scores(
        f1=tuple(prediction.f1 for prediction in predictions),
        exact_match=tuple(prediction.exact_match for prediction in predictions),
    )
