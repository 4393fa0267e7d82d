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
from quantkit.runtime.run import Job, batched, run_job
from quantkit.runtime.session import Session
from quantkit.tasks import Dataset
from quantkit.tasks.prepared import Prepared, Reader
from quantkit.tasks.task import Outputs

TOKEN_BUDGET = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Exam:
    """Questions, cut into windows and batches once, for every artifact.

    Attributes:
        prepared: the questions as the model reads them.
        job: all windows, in batches.
        config: the checkpoint's config.json.
    """

    prepared: Prepared
    job: Job
    config: Mapping[str, Any]


def make_exam(
    artifact: Artifact, dataset: Dataset, *, token_budget: int = TOKEN_BUDGET, equal_lengths: bool = False
) -> Exam:
    """Featurize a dataset with the artifact's tokenizer; `equal_lengths`: only rows of one length share a batch."""
    prepared = Reader.of(artifact).prepare(dataset)
    job = batched(prepared, token_budget=token_budget, equal_lengths=equal_lengths)
    return Exam(prepared=prepared, job=job, config=artifact.config)


def write_batches(exam: Exam, path: Path) -> None:
    """Write every batch's graph inputs as `<input>.<batch>`."""
    np.savez(
        path,
        allow_pickle=False,
        **{
            f"{name}.{index}": array
            for index, batch in enumerate(exam.job.batches)
            for name, array in exam.job.feeds(batch).items()
        },
    )


def score_onnxruntime(path: Path, exam: Exam, threads: int) -> Scores:
    """Answer and score in onnxruntime, the way `quantkit evaluate` does."""
    session = Session(path, outputs=exam.prepared.reader.task.outputs)
    with ThreadEngine([session] * threads) as engine:
        return _score(exam, run_job(engine, exam.job, label=path.parent.name))


def coverage_onnxruntime(path: Path, exam: Exam) -> float:
    """Return the INT8 coverage as executed, in percent."""
    outputs = exam.prepared.reader.task.outputs
    return 100.0 * trace_execution(path, outputs=outputs, config=exam.config).int8_coverage


def score_openvino(
    environment: Environment, model: Path, exam: Exam, batches: Path, arguments: Sequence[str], timeout: float
) -> tuple[Scores, dict[str, Any]]:
    """Answer in OpenVINO and score here.

    Args:
        environment: where OpenVINO is.
        model: ONNX file, or OpenVINO's own file.
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
        positions = [facts["outputs"].index(name) for name in exam.prepared.reader.task.outputs]
        outputs = _per_feature(exam, stored, positions)
    return _score(exam, outputs), facts


def _per_feature(exam: Exam, stored: Path, positions: Sequence[int]) -> list[Outputs]:
    """Cut the batches' outputs, [rows, tokens] or [rows, labels], into those of single features."""
    per_token = exam.prepared.reader.task.per_token
    found: dict[int, Outputs] = {}
    with np.load(stored) as arrays:
        for number, batch in enumerate(exam.job.batches):
            outputs = [arrays[f"{position}.{number}"] for position in positions]
            for place, index in enumerate(batch.indices):
                tokens = exam.prepared.lengths[index] if per_token else None
                found[index] = tuple(array[place, :tokens] for array in outputs)
    return [found[index] for index in range(len(found))]


def _score(exam: Exam, outputs: Sequence[Outputs]) -> Scores:
    predictions = exam.prepared.predict(outputs)
    return Scores(
        f1=tuple(prediction.f1 for prediction in predictions),
        exact_match=tuple(prediction.exact_match for prediction in predictions),
    )
