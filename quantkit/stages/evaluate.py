"""evaluate: artifact → Evaluation, with every question's answer and score.

Where it is kept:

* In the artifact, `reports/evaluation-<dataset>.json` and `reports/predictions-<dataset>.json` for every
  dataset; `evaluation.json` and `predictions.json` are copies of the last. A published artifact's reports are
  sealed and stay as they are, and a read-only artifact keeps none; both are still evaluated.
* In the user's cache, by the key of its `ingredients`. Only this copy answers a second `evaluate`. The files
  in an artifact travel with it: they are what somebody says it scored, not what was seen here.

An evaluation of the first N questions is named `<dataset>-first-<N>` and has a digest of its own, so it is
never taken for the whole.
"""

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quantkit.artifact import Artifact
from quantkit.artifact.ingredients import Ingredients
from quantkit.artifact.measure import tool_versions
from quantkit.cluster.cluster import cluster_seats, require_ray
from quantkit.engines import open_engine
from quantkit.errors import ArtifactError, EvaluationError, OutputError, QuantkitError
from quantkit.files import cache_folder, is_read_only, write_json
from quantkit.recipe.marks import in_key
from quantkit.recipe.settings import EvaluateSettings
from quantkit.records import Evaluation, QuestionScore
from quantkit.records.evaluation import evaluation_file, predictions_file, scores_digest
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.profile import RuntimeProfile, profile_of
from quantkit.runtime.run import plan, run_job
from quantkit.tasks import Dataset, FeatureSettings, task
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.datasets import load
from quantkit.tasks.tokenizer import Tokenizer

_TOOLS = ("onnxruntime", "tokenizers", "numpy")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Subject:
    """What is evaluated, and the key of all that decides the result."""

    artifact: Artifact
    dataset: Dataset
    dataset_name: str
    key: str


def ingredients(artifact: Artifact, settings: EvaluateSettings, data: DataPlaces) -> Ingredients:
    """Return all that decides an evaluation: artifact, dataset, settings, tools, the kernels of this processor.

    Raises:
        DatasetError: there is no such dataset.
    """
    return Ingredients(
        inputs={"artifact": artifact.digest, **data.digests(settings), "cpu": cpu_facts().kernels},
        settings={"task": artifact.task, **in_key(settings), "features": FeatureSettings().as_json()},
        tools=tool_versions(*_TOOLS),
    )


def evaluate(
    artifact: Artifact, *, settings: EvaluateSettings, data_dir: Path | None = None, refresh: bool = False
) -> Evaluation:
    """Answer every question of a dataset and score the answers.

    Args:
        artifact: opened, and so checked byte by byte.
        settings: dataset, limit, batches, and the engine that runs them, which makes no difference to the answers.
        data_dir: looked into first for the dataset.
        refresh: run even when the cache has the answer.

    Returns:
        The evaluation, `scores` included; F1 and exact match are unrounded means over all questions, in
        percent.

    Raises:
        DatasetError: the dataset cannot be found or read.
        ArtifactError: the model cannot be opened, or is not one for the task.
        CheckpointError: the tokenizer is missing, or is not the model's.
        EvaluationError: logits are NaN or Infinity, or a question was lost.
        OutputError: the disk is full.
    """
    require_ray(settings.engine or "threads", settings.ray_address)
    subject = _subject(artifact, settings, data_dir)
    found = None if refresh else _read_cached(subject)
    if found is None:
        found = _run(subject, settings)
        _write_cached(found)
    _write_reports(artifact, found)
    return found


def read_evaluation(artifact: Artifact, dataset_name: str | None = None) -> Evaluation:
    """Read an evaluation from an artifact's reports, scores included, without running anything.

    Args:
        artifact: the one that was evaluated.
        dataset_name: None for the last one.

    Raises:
        ArtifactError: there is none, it is of other bytes, or its predictions are not those it was made with.
    """
    path = artifact.report_path(evaluation_file(dataset_name))
    evaluation = Evaluation.read(path)
    if evaluation.artifact != artifact.digest:
        raise ArtifactError(f"{path}: is the evaluation of another artifact; evaluate this one again")
    if dataset_name is not None and evaluation.dataset_name != dataset_name:
        raise ArtifactError(f"{path}: is of {evaluation.dataset_name}; evaluate {dataset_name} again")
    return _with_scores(evaluation, artifact.report_path(predictions_file(dataset_name)))


def _subject(artifact: Artifact, settings: EvaluateSettings, data_dir: Path | None) -> _Subject:
    whole = load(settings.data, artifact.task, data_dir)
    dataset = whole if settings.limit is None else whole.limit(settings.limit)
    part = dataset.digest != whole.digest
    name = f"{dataset.name}-first-{len(dataset.examples)}" if part else dataset.name
    made_of = ingredients(artifact, settings, DataPlaces(data_dir=data_dir))
    return _Subject(artifact=artifact, dataset=dataset, dataset_name=name, key=made_of.key("evaluate"))


def _run(subject: _Subject, settings: EvaluateSettings) -> Evaluation:
    started = time.perf_counter()
    artifact, dataset = subject.artifact, subject.dataset
    job_task, feature_settings = task(artifact.task), FeatureSettings()
    tokenizer = Tokenizer.load(artifact.path)
    tokenizer.check_vocabulary(_vocabulary(artifact))
    # Opened before featurizing: a model that cannot run is told at once.
    profile = _profile(artifact, settings)
    with open_engine(artifact.model_path, outputs=job_task.outputs, profile=profile) as engine:
        features = job_task.featurize(dataset, tokenizer, feature_settings)
        job = plan(
            features,
            token_budget=settings.token_budget,
            equal_lengths=settings.equal_lengths,
            pad_id=tokenizer.pad_id,
            name=lambda index: f"question {dataset.examples[features[index].example].id}",
        )
        running = time.perf_counter()
        outputs = run_job(engine, job, label="evaluate")
        ran = time.perf_counter() - running
    predictions = job_task.predict(dataset, features, outputs, feature_settings)
    if [prediction.id for prediction in predictions] != [example.id for example in dataset.examples]:
        raise EvaluationError(
            f"{subject.dataset_name}: {len(predictions)} predictions do not answer its "
            f"{len(dataset.examples)} questions one by one; report this"
        )
    scores = tuple(
        QuestionScore(
            id=prediction.id,
            group=prediction.group,
            answer=prediction.answer,
            exact_match=prediction.exact_match,
            f1=prediction.f1,
        )
        for prediction in predictions
    )
    return Evaluation(
        key=subject.key,
        artifact=artifact.digest,
        task=artifact.task,
        dataset=dataset.digest,
        dataset_name=subject.dataset_name,
        f1=_percent([score.f1 for score in scores]),
        exact_match=_percent([score.exact_match for score in scores]),
        questions=len(scores),
        features=len(features),
        settings=_compared(settings),
        seconds=time.perf_counter() - started,
        features_per_second=len(features) / ran,
        tools=tool_versions(*_TOOLS),
        cpu=cpu_facts().as_json(),
        predictions_sha256=scores_digest(scores),
        scores=scores,
    )


def _compared(settings: EvaluateSettings) -> dict[str, Any]:
    """Return the settings in which two evaluations that are compared must agree."""
    compared: dict[str, Any] = {
        "token_budget": settings.token_budget,
        "features": FeatureSettings().as_json(),
    }
    # Named only when it is asked for: evaluations from before it was there stay comparable.
    if settings.equal_lengths:
        compared["equal_lengths"] = True
    return compared


def _profile(artifact: Artifact, settings: EvaluateSettings) -> RuntimeProfile:
    """Return how the model runs: the artifact's own profile in all that makes no difference to the answers.

    What does, the batches and the runtime, comes from the settings alone: a score belongs to an artifact and not to
    the machine it was tuned on.
    """
    found = profile_of(artifact)
    changes: dict[str, Any] = {
        "runtime": "onnxruntime",
        "token_budget": settings.token_budget,
        "max_batch": None,
        "equal_lengths": settings.equal_lengths,
    }
    if settings.threads is not None:
        changes |= {"instances": settings.threads, "threads": 1}
    # Another engine than these two is for machines that are not here.
    engine = settings.engine or ("processes" if found.engine == "processes" else "threads")
    if engine == "ray":
        # A profile is of this machine; a cluster gets an instance for each of its cores.
        seats = settings.threads or cluster_seats(settings.ray_address)
        changes |= {"instances": seats, "threads": 1, "pinned": False}
    return found.model_copy(update=changes | {"engine": engine, "ray_address": settings.ray_address})


def _percent(values: Sequence[float]) -> float:
    return 100.0 * math.fsum(values) / len(values)


def _vocabulary(artifact: Artifact) -> int:
    size = artifact.config.get("vocab_size")
    if not isinstance(size, int):
        path = artifact.path / "config.json"
        raise ArtifactError(f"{path}: has no vocab_size; use the model's own config.json")
    return size


def _cache_entry(key: str) -> Path:
    return cache_folder() / "evaluations" / key


def _read_cached(subject: _Subject) -> Evaluation | None:
    """Return the cached evaluation; None when there is none, or it is not whole, or of another subject."""
    folder = _cache_entry(subject.key)
    try:
        found = _with_scores(Evaluation.read(folder / "evaluation.json"), folder / "predictions.json")
    except (QuantkitError, OSError):
        return None
    asked = (subject.key, subject.artifact.digest, subject.dataset.digest)
    ids = [example.id for example in subject.dataset.examples]
    if (found.key, found.artifact, found.dataset) != asked or [score.id for score in found.scores] != ids:
        return None
    # The same file under another name is the same dataset; the report says what it was called this time.
    return found.model_copy(update={"dataset_name": subject.dataset_name, "scores": found.scores})


def _with_scores(evaluation: Evaluation, path: Path) -> Evaluation:
    """Return the evaluation with the scores in `path`.

    Raises:
        ArtifactError: they are missing, or the evaluation was not made of them.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scores = tuple(QuestionScore.model_validate(entry) for entry in content)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: is missing; evaluate again") from None
    except (UnicodeDecodeError, json.JSONDecodeError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{path}: is not a list of scores ({reason}); evaluate again") from None
    if scores_digest(scores) != evaluation.predictions_sha256 or not scores:
        raise ArtifactError(f"{path}: is not what its evaluation was made of; evaluate again")
    means = (_percent([score.f1 for score in scores]), _percent([score.exact_match for score in scores]))
    if (*means, len(scores)) != (evaluation.f1, evaluation.exact_match, evaluation.questions):
        raise ArtifactError(f"{path}: its scores do not add up to the evaluation's; evaluate again")
    return evaluation.model_copy(update={"scores": scores})


def _scores_json(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [score.model_dump(mode="json") for score in evaluation.scores]


def _write_cached(evaluation: Evaluation) -> None:
    folder = _cache_entry(evaluation.key)
    try:
        # The predictions first: an evaluation without them is no entry.
        write_json(folder / "predictions.json", _scores_json(evaluation))
        write_json(folder / "evaluation.json", evaluation.as_json())
    except OutputError as error:
        _LOG.warning("the evaluation is not cached: %s", error)


def _write_reports(artifact: Artifact, evaluation: Evaluation) -> None:
    if artifact.manifest.reports:
        _LOG.info("%s is published: its reports stay as they are", artifact.path)
        return
    content, scores = evaluation.as_json(), _scores_json(evaluation)
    try:
        for name in (evaluation.dataset_name, None):
            artifact.write_report(predictions_file(name), scores)
            artifact.write_report(evaluation_file(name), content)
    except OutputError as error:
        if not is_read_only(error):
            raise
        _LOG.warning("the evaluation is not kept in the artifact: %s", error)
