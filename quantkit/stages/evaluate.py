"""evaluate: artifact → Evaluation, with every question's answer and score.

Where it is kept:

* In the artifact, `reports/evaluation-<dataset>.json` and `reports/predictions-<dataset>.json` for every
  dataset; `evaluation.json` and `predictions.json` are copies of the last. A published artifact's reports are
  sealed and stay as they are, and a read-only artifact keeps none; both are still evaluated.
* In the user's cache, by the key of its `ingredients`, as one sealed record. Only this copy answers a second
  `evaluate`. The files in an artifact travel with it: they are what somebody says it scored, not what was seen here.
* In the cache too, while it runs: what was answered (`quantkit.runtime.answered`), by the same key. After Ctrl-C or
  `kill -9` the same command goes on, and ends with the same scores; `refresh` begins anew.

A metric of the user's own scores the answers afterwards, each time anew (`quantkit.tasks.own_metric`).

An evaluation of the first N questions is named `<dataset>-first-<N>` and has a digest of its own, so it is
never taken for the whole.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quantkit.artifact import Artifact
from quantkit.artifact.artifact import is_not_kept
from quantkit.artifact.ingredients import Ingredients
from quantkit.artifact.measure import tool_versions
from quantkit.artifact.sealed import read_sealed, write_sealed
from quantkit.engines import open_engine, seats
from quantkit.errors import EvaluationError, OutputError
from quantkit.graph.saturation import saturation_warning
from quantkit.metrics.metric import measures_of, percent
from quantkit.metrics.of_tasks import metric_of
from quantkit.recipe.marks import in_key
from quantkit.recipe.settings import EvaluateSettings
from quantkit.records import Evaluation, QuestionScore
from quantkit.records.evaluation import (
    NullThreshold,
    PartScore,
    evaluation_file,
    predictions_file,
    scores_digest,
)
from quantkit.runtime.answered import Answered, forget
from quantkit.runtime.cpu import cpu_facts, int8_products
from quantkit.runtime.hold import hold
from quantkit.runtime.profile import RuntimeProfile, profile_of
from quantkit.runtime.run import Job, run_job
from quantkit.runtime.where import Where
from quantkit.tasks import Dataset, WindowSettings
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.datasets import load
from quantkit.tasks.heads import label_names
from quantkit.tasks.lengths import lengths_of
from quantkit.tasks.own_metric import OwnMetric, require_allowed
from quantkit.tasks.prepared import Prepared, Reader
from quantkit.tasks.squad.parts import parts_of
from quantkit.tasks.squad.threshold import best_threshold
from quantkit.tasks.task import Outputs

CACHE = "evaluations"
Elsewhere = Callable[[Artifact, EvaluateSettings, Path | None, int], Any]
"""Has `answer` done by another process, for a held artifact and a number of questions, and returns what it gave."""
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
        UsageError: the function of an own metric is nowhere.
    """
    return Ingredients(
        inputs={"artifact": artifact.digest, **data.digests(settings), "cpu": cpu_facts().kernels},
        settings={"task": artifact.task, **in_key(settings), "features": lengths_of(artifact).as_json()},
        tools=tool_versions(*_TOOLS),
    )


def evaluate(
    artifact: Artifact,
    *,
    settings: EvaluateSettings,
    data_dir: Path | None = None,
    refresh: bool = False,
    cached: bool = True,
    elsewhere: Elsewhere | None = None,
    own: OwnMetric | None = None,
) -> Evaluation:
    """Answer every question of a dataset and score the answers.

    Args:
        artifact: opened, and so checked byte by byte.
        settings: dataset, limit, batches, and the engine that runs them, which makes no difference to the answers.
        data_dir: looked into first for the dataset.
        refresh: run even when the cache has the answer.
        cached: False: the cache is neither read nor written.
        elsewhere: runs what nobody trusts; None: this process does.
        own: the metric that the settings name, where they name one.

    Returns:
        The evaluation, `scores` included; the metric and exact match are unrounded, over all questions, in
        percent.

    Raises:
        DatasetError: the dataset cannot be found or read.
        ArtifactError: the model cannot be opened, or is not one for the task.
        CheckpointError: the tokenizer is missing, or is not the model's.
        EvaluationError: logits are NaN or Infinity, or a question was lost.
        OutputError: the disk is full.
        UsageError: the settings name a metric, and none is given.
    """
    require_allowed(settings.metric, allow_code=own is not None)
    asked, settings = settings, settings.model_copy(update={"metric": None})
    where = Where.of(settings)
    subject = _subject(artifact, settings, data_dir)
    found = _read_cached(subject) if cached and not refresh else None
    if found is None:
        with hold(artifact, read=elsewhere is None) as held:
            if elsewhere is None:
                if refresh:
                    forget(subject.key)
                found = _run(replace(subject, artifact=held), settings, where, keep=cached)
            else:
                count = len(subject.dataset.questions)
                found = _believed(elsewhere(held, settings, data_dir, count), subject)
        if found is None:
            raise EvaluationError(
                f"{artifact.path}: the process that ran it gave no evaluation of it; do not use it"
            )
        if cached:
            _write_cached(found)
            forget(subject.key)
    if own is not None:
        key = ingredients(artifact, asked, DataPlaces(data_dir=data_dir)).key("evaluate")
        found = own.scored(found, subject.dataset, label_names(artifact.config), key=key)
    _write_reports(artifact, found)
    return found


def answer(artifact: Artifact, *, settings: EvaluateSettings, data_dir: Path | None) -> Any:
    """Do the work of `evaluate` without a cache, and return the evaluation and its scores as JSON.

    Raises:
        QuantkitError: as `evaluate` does.
    """
    return _content(_run(_subject(artifact, settings, data_dir), settings, Where.of(settings), keep=False))


def _subject(artifact: Artifact, settings: EvaluateSettings, data_dir: Path | None) -> _Subject:
    whole = load(settings.data, artifact.task, data_dir)
    dataset = whole if settings.limit is None else whole.limit(settings.limit)
    part = dataset.digest != whole.digest
    name = f"{dataset.name}-first-{len(dataset.questions)}" if part else dataset.name
    made_of = ingredients(artifact, settings, DataPlaces(data_dir=data_dir))
    return _Subject(artifact=artifact, dataset=dataset, dataset_name=name, key=made_of.key("evaluate"))


def _run(subject: _Subject, settings: EvaluateSettings, where: Where, *, keep: bool) -> Evaluation:
    """Answer and score; with `keep` what an interrupted run has answered is not answered again."""
    started = time.perf_counter()
    artifact, dataset = subject.artifact, subject.dataset
    reader = Reader.of(artifact)
    if artifact.manifest.precision == "int8" and not settings.exact_int8:
        _warn_of_saturation(artifact, reader.task.outputs)
    # Opened before questions are cut: a model that cannot run is told at once.
    profile = _profile(artifact, settings, where)
    model, outputs_of = artifact.model_path, reader.task.outputs
    with open_engine(model, outputs=outputs_of, profile=profile, name=artifact.model_name) as engine:
        prepared = reader.prepare(dataset)
        job = Job.of(prepared, profile.batches(prepared.lengths))
        answered = Answered(subject.key, engine, job) if keep else None
        running, rows = time.perf_counter(), _rows(job if answered is None else answered.rest)
        outputs = answered.run(label="evaluate") if answered else run_job(engine, job, label="evaluate")
        ran = time.perf_counter() - running
    predictions = prepared.predict(outputs)
    if [prediction.id for prediction in predictions] != [question.id for question in dataset.questions]:
        raise EvaluationError(
            f"{subject.dataset_name}: {len(predictions)} predictions do not answer its "
            f"{len(dataset.questions)} questions one by one; report this"
        )
    scores = tuple(
        QuestionScore(
            id=prediction.id,
            group=prediction.group,
            answer=prediction.answer,
            exact_match=prediction.exact_match,
            f1=prediction.f1,
            measures=prediction.measures,
        )
        for prediction in predictions
    )
    return Evaluation(
        key=subject.key,
        artifact=artifact.digest,
        task=artifact.task,
        dataset=dataset.digest,
        dataset_name=subject.dataset_name,
        metric=prepared.metric.name,
        f1=percent(prepared.metric, measures_of(scores)),
        exact_match=_percent([score.exact_match for score in scores]),
        questions=len(scores),
        parts=_parts(dataset, scores),
        best_threshold=_best_threshold(prepared, outputs),
        features=len(prepared.rows),
        truncated=prepared.truncated,
        settings=_compared(settings, reader.settings),
        seconds=time.perf_counter() - started,
        features_per_second=rows / ran,
        evaluated=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        tools=tool_versions(*_TOOLS),
        cpu=cpu_facts().as_json(),
        predictions_sha256=scores_digest(scores),
        scores=scores,
    )


def _rows(job: Job) -> int:
    """Return how many rows are run: of what was answered before nobody knows how long it took."""
    return sum(len(batch.indices) for batch in job.batches) or len(job.rows)


def _warn_of_saturation(artifact: Artifact, outputs: tuple[str, ...]) -> None:
    """Say so where this CPU can get integer sums of the artifact wrong; it is evaluated all the same."""
    said = saturation_warning(artifact.model_path, outputs=outputs, name=artifact.model_name)
    if said:
        _LOG.warning("%s", said)


def _compared(settings: EvaluateSettings, lengths: WindowSettings) -> dict[str, Any]:
    """Return the settings in which two evaluations that are compared must agree."""
    compared: dict[str, Any] = {
        "token_budget": settings.token_budget,
        "features": lengths.as_json(),
    }
    # Named only when they are asked for: evaluations from before they were there stay comparable.
    if settings.equal_lengths:
        compared["equal_lengths"] = True
    if settings.exact_int8:
        compared["int8_products"] = int8_products(asked=True)
    return compared


def _profile(artifact: Artifact, settings: EvaluateSettings, where: Where) -> RuntimeProfile:
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
        "exact_int8": settings.exact_int8,
    }
    if settings.threads is not None:
        changes |= {"instances": settings.threads, "threads": 1}
    if settings.engine is None and found.engine == "processes":
        where = found.where
    if where.engine == "ray":
        # A profile is of this machine; a cluster gets an instance for each of its cores.
        changes |= {"instances": settings.threads or seats(where), "threads": 1, "pinned": False}
    return found.model_copy(update=changes).on(where)


def _parts(dataset: Dataset, scores: Sequence[QuestionScore]) -> dict[str, PartScore]:
    return {
        name: PartScore(
            questions=len(places),
            f1=_percent([scores[place].f1 for place in places]),
            exact_match=_percent([scores[place].exact_match for place in places]),
        )
        for name, places in parts_of(dataset).items()
    }


def _best_threshold(prepared: Prepared, outputs: Sequence[Outputs]) -> NullThreshold | None:
    best = best_threshold(prepared.dataset, prepared.rows, outputs, prepared.reader.settings)
    return None if best is None else NullThreshold(threshold=best.threshold, f1=best.f1)


def _percent(values: Sequence[float]) -> float:
    return 100.0 * math.fsum(values) / len(values)


def _read_cached(subject: _Subject) -> Evaluation | None:
    """Return the cached evaluation; None when there is none, or it is of another subject or contradicts itself."""
    return _believed(read_sealed(CACHE, subject.key), subject)


def _believed(content: Any, subject: _Subject) -> Evaluation | None:
    """Return an evaluation that is of this subject and agrees with its own scores, None when it is not."""
    try:
        scores = tuple(QuestionScore.model_validate(entry) for entry in content["scores"])
        found = Evaluation.model_validate(content["evaluation"])
    except (TypeError, KeyError, ValueError):
        return None
    asked = (subject.key, subject.artifact.digest, subject.dataset.digest)
    ids = [question.id for question in subject.dataset.questions]
    if (found.key, found.artifact, found.dataset) != asked or [score.id for score in scores] != ids:
        return None
    try:
        metric, measures = metric_of(found.task, found.metric), measures_of(scores)
        whole = math.nan if metric.fault(measures) else percent(metric, measures)
    except (KeyError, ValueError):
        return None
    said = (found.predictions_sha256, found.f1, found.exact_match, found.questions, found.parts)
    computed = (
        scores_digest(scores),
        whole,
        _percent([score.exact_match for score in scores]),
        len(scores),
        _parts(subject.dataset, scores),
    )
    if said != computed:
        return None
    # The same file under another name is the same dataset; the report says what it was called this time.
    return found.model_copy(update={"dataset_name": subject.dataset_name, "scores": scores})


def _scores_json(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [score.model_dump(mode="json") for score in evaluation.scores]


def _content(evaluation: Evaluation) -> dict[str, Any]:
    return {"evaluation": evaluation.as_json(), "scores": _scores_json(evaluation)}


def _write_cached(evaluation: Evaluation) -> None:
    try:
        write_sealed(CACHE, evaluation.key, _content(evaluation))
    except OutputError as error:
        _LOG.warning("the evaluation is not cached: %s", error)


def _write_reports(artifact: Artifact, evaluation: Evaluation) -> None:
    if artifact.manifest.reports:
        _LOG.info("%s is published: its reports stay as they are", artifact.place)
        return
    content, scores = evaluation.as_json(), _scores_json(evaluation)
    try:
        for name in (evaluation.dataset_name, None):
            artifact.write_report(predictions_file(name), scores)
            artifact.write_report(evaluation_file(name), content)
    except OutputError as error:
        if not is_not_kept(error):
            raise
        _LOG.warning("the evaluation is not kept in the artifact: %s", error)
