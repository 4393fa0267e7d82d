"""evaluate scores every question, once per subject, and never takes one subject's result for another's."""

import json
import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from quantkit.artifact import Artifact
from quantkit.artifact.sealed import entry_path, read_sealed, write_sealed
from quantkit.engines import open_engine
from quantkit.errors import ArtifactError, CheckpointError, DatasetError, EvaluationError
from quantkit.files import cache_folder, digest_of, write_text
from quantkit.recipe.settings import EvaluateSettings
from quantkit.records import Evaluation, QuestionScore
from quantkit.records.evaluation import evaluation_file, predictions_file
from quantkit.runtime.engine import Engine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.session import Session
from quantkit.stages.evaluate import evaluate, ingredients
from quantkit.tasks.data_places import DataPlaces

Make = Callable[..., Artifact]


def settings_for(path: Path, **changes: object) -> EvaluateSettings:
    """Return settings for a file of questions."""
    return EvaluateSettings.model_validate({"data": str(path), "token_budget": 64, **changes})


def kept(artifact: Artifact, name: str | None = None) -> Evaluation:
    """Return the evaluation in an artifact's reports, with its scores."""
    found = Evaluation.read(artifact.report_path(evaluation_file(name)))
    content = json.loads(artifact.report_path(predictions_file(name)).read_text())
    return found.model_copy(update={"scores": tuple(map(QuestionScore.model_validate, content))})


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after whose call nothing can open a session any more."""

    def poison() -> None:
        def refuse(*args: object, **options: object) -> NoReturn:
            pytest.fail("a session was opened")

        monkeypatch.setattr(Session, "__init__", refuse)

    return poison


def test_scores_every_question(make_span_artifact: Make, span_questions: Path) -> None:
    """Each question has one score, and F1 and exact match are their unrounded means in percent."""
    artifact = make_span_artifact()
    found = evaluate(artifact, settings=settings_for(span_questions))
    ids = [score.id for score in found.scores]
    assert ids == [f"{title}-{number}" for title in ("Letters", "Prices") for number in range(3)]
    assert {score.group for score in found.scores} == {"Letters", "Prices"}
    assert found.f1 == 100 * math.fsum(score.f1 for score in found.scores) / 6
    assert found.exact_match == 100 * math.fsum(score.exact_match for score in found.scores) / 6
    assert (found.questions, found.features) == (6, 6)
    assert found.artifact == artifact.digest
    assert found.dataset_name == "tiny"
    assert found.key == ingredients(artifact, settings_for(span_questions), DataPlaces()).key("evaluate")


def test_written_into_the_artifact(make_span_artifact: Make, span_questions: Path) -> None:
    """The reports hold what was returned, and the artifact's identity stays."""
    artifact = make_span_artifact()
    found = evaluate(artifact, settings=settings_for(span_questions))
    for name in (None, "tiny"):
        read = kept(artifact, name)
        assert read == found
        assert read.scores == found.scores
    content = json.loads(artifact.report_path("evaluation.json").read_text())
    assert content.keys() >= {"schema", "f1", "exact_match", "questions", "features", "artifact", "dataset"}
    assert "scores" not in content
    assert Artifact.open(artifact.path).digest == artifact.digest


def test_second_time_from_the_cache(
    make_span_artifact: Make, span_questions: Path, poisoned: Callable[[], None]
) -> None:
    """The same artifact, dataset and settings are not run again, for any number of threads."""
    artifact = make_span_artifact()
    first = evaluate(artifact, settings=settings_for(span_questions, threads=1))
    poisoned()
    second = evaluate(artifact, settings=settings_for(span_questions, threads=2))
    assert second == first
    assert second.scores == first.scores


def test_cache_serves_a_copy_of_the_artifact(
    make_span_artifact: Make, span_questions: Path, poisoned: Callable[[], None]
) -> None:
    """A copy of the same bytes is answered by the cache, and gets its reports."""
    evaluate(make_span_artifact("one"), settings=settings_for(span_questions))
    copy = make_span_artifact("two")
    poisoned()
    found = evaluate(copy, settings=settings_for(span_questions))
    assert kept(copy, "tiny") == found


@pytest.mark.parametrize("changed", ["artifact", "dataset", "token_budget", "limit", "refresh"])
def test_anything_else_runs(
    make_span_artifact: Make, span_questions: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """Another artifact, dataset, budget or limit is another subject, and refresh always runs."""
    evaluate(make_span_artifact(), settings=settings_for(span_questions))
    opened: list[str] = []
    original = Session.__init__

    def record(self: Session, path: Path, **given: Any) -> None:
        opened.append(given["name"])
        original(self, path, **given)

    monkeypatch.setattr(Session, "__init__", record)
    artifact = make_span_artifact("other", seed=1 if changed == "artifact" else 0)
    if changed == "dataset":
        write_text(span_questions, span_questions.read_text().replace("Who sent?", "Who sent a letter?"))
    options = {"token_budget": {"token_budget": 32}, "limit": {"limit": 4}}.get(changed, {})
    evaluate(artifact, settings=settings_for(span_questions, **options), refresh=changed == "refresh")
    assert opened == [str(artifact.model_path)]


def entry_of(evaluation: Evaluation) -> Path:
    """Return where an evaluation is cached."""
    return entry_path("evaluations", evaluation.key)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"answer":"', '"answer":"x', 1),
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "[" * 100_000,
        lambda text: text.replace('"f1":', '"f1":1', 1),
        lambda text: text.replace('"artifact":"', '"artifact":"0', 1),
        lambda text: text + " ",
    ],
)
def test_broken_cache_is_recomputed(
    make_span_artifact: Make, span_questions: Path, change: Callable[[str], str]
) -> None:
    """A cache entry that does not fit is not believed but made again."""
    artifact, settings = make_span_artifact(), settings_for(span_questions)
    first = evaluate(artifact, settings=settings)
    entry = entry_of(first)
    broken = change(entry.read_text())
    assert broken != entry.read_text()
    entry.write_text(broken)
    again = evaluate(artifact, settings=settings)
    assert again.scores == first.scores
    assert (again.f1, again.artifact) == (first.f1, artifact.digest)
    assert entry.read_text() != broken


@pytest.mark.parametrize("value", [50.0, -0.5, 1.0000001])
def test_a_sealed_entry_with_scores_beyond_their_range_is_a_miss(
    make_span_artifact: Make, span_questions: Path, value: float
) -> None:
    """Whoever can write a seal still cannot give a question an F1 of 50: it would be 5000 percent in all."""
    artifact, settings = make_span_artifact(), settings_for(span_questions)
    first = evaluate(artifact, settings=settings)
    content = read_sealed("evaluations", first.key)
    for score in content["scores"]:
        score["f1"] = value
    content["evaluation"]["f1"] = 100 * value
    content["evaluation"]["predictions_sha256"] = digest_of(content["scores"])
    write_sealed("evaluations", first.key, content)
    assert evaluate(artifact, settings=settings).scores == first.scores


def test_without_the_cache_nothing_is_read_or_kept(make_span_artifact: Make, span_questions: Path) -> None:
    """`cached=False` runs the model, and leaves no entry for others to believe."""
    artifact, settings = make_span_artifact(), settings_for(span_questions)
    found = evaluate(artifact, settings=settings, cached=False)
    assert not entry_of(found).exists()
    evaluate(artifact, settings=settings)
    seen = entry_of(found).read_bytes()
    again = evaluate(artifact, settings=settings, cached=False)
    assert again.seconds != found.seconds
    assert entry_of(found).read_bytes() == seen


def test_limited_is_never_the_whole(make_span_artifact: Make, span_questions: Path) -> None:
    """The first N questions have a name and a digest of their own; the whole's report stays."""
    artifact = make_span_artifact()
    whole = evaluate(artifact, settings=settings_for(span_questions))
    part = evaluate(artifact, settings=settings_for(span_questions, limit=4))
    assert (part.dataset_name, part.questions) == ("tiny-first-4", 4)
    assert part.dataset != whole.dataset
    assert kept(artifact, "tiny") == whole
    assert kept(artifact, "tiny-first-4") == part
    assert kept(artifact) == part
    assert evaluate(artifact, settings=settings_for(span_questions, limit=99)).dataset == whole.dataset


def test_same_scores_for_any_number_of_threads(make_span_artifact: Make, span_questions: Path) -> None:
    """1, 2 and 3 threads give the same answers."""
    artifact = make_span_artifact()
    one, two, three = (
        evaluate(artifact, settings=settings_for(span_questions, threads=threads), refresh=True)
        for threads in (1, 2, 3)
    )
    assert one.predictions_sha256 == two.predictions_sha256 == three.predictions_sha256


@pytest.mark.parametrize("fill", [np.nan, np.inf])
def test_nan_logits(make_span_artifact: Make, span_questions: Path, fill: float) -> None:
    """NaN or Infinity is an error that names a question, and nothing is written or cached."""
    artifact = make_span_artifact(fill=fill)
    with pytest.raises(EvaluationError, match=r"holds NaN or Infinity for question (Letters|Prices)-\d"):
        evaluate(artifact, settings=settings_for(span_questions))
    assert not (artifact.path / "reports").exists()
    assert not (cache_folder() / "evaluations").exists()


def test_wrong_tokenizer(make_span_artifact: Make, span_questions: Path) -> None:
    """A tokenizer of another vocabulary size is refused before anything runs."""
    with pytest.raises(CheckpointError, match=r"tokens but the model 4"):
        evaluate(make_span_artifact(words=4), settings=settings_for(span_questions))


def test_empty_dataset(make_span_artifact: Make, tmp_path: Path) -> None:
    """A dataset without questions is an error."""
    path = tmp_path / "empty.json"
    path.write_text('{"version": "1.1", "data": []}')
    with pytest.raises(DatasetError, match=r"empty\.json"):
        evaluate(make_span_artifact(), settings=settings_for(path))


def test_lost_questions(
    make_span_artifact: Make, span_questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many predictions come out as questions went in, or nothing does."""
    from quantkit.tasks.squad import Squad

    original = Squad.predict
    monkeypatch.setattr(Squad, "predict", lambda *given: original(*given)[:-1])
    artifact = make_span_artifact()
    with pytest.raises(EvaluationError, match="5 predictions do not answer its 6 questions"):
        evaluate(artifact, settings=settings_for(span_questions))
    assert not (artifact.path / "reports").exists()


def test_interrupted(make_span_artifact: Make, span_questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves no report, no cache entry and no thread."""

    def interrupt(self: Session, *given: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "run", interrupt)
    artifact = make_span_artifact()
    with pytest.raises(KeyboardInterrupt):
        evaluate(artifact, settings=settings_for(span_questions))
    assert not (artifact.path / "reports").exists()
    assert not (cache_folder() / "evaluations").exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("quantkit-run")]


def test_read_only_artifact(
    make_span_artifact: Make,
    span_questions: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An artifact that cannot be written is evaluated all the same, cached, and the user is told."""
    import tempfile

    artifact, settings = make_span_artifact(), settings_for(span_questions)
    original = tempfile.mkstemp

    def refuse(*, prefix: str, dir: Path) -> tuple[int, str]:  # noqa: A002
        if dir.is_relative_to(artifact.path):
            raise PermissionError(13, "Permission denied")
        return original(prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with caplog.at_level(logging.WARNING):
        found = evaluate(artifact, settings=settings)
    assert "not kept in the artifact" in caplog.text
    assert entry_of(found).is_file()
    with pytest.raises(ArtifactError, match="no such report"):
        kept(artifact, "tiny")


def test_published_artifact_stays_sealed(make_span_artifact: Make, span_questions: Path) -> None:
    """Reports that the manifest lists are not written over."""
    artifact = make_span_artifact()
    evaluate(artifact, settings=settings_for(span_questions))
    record = artifact.manifest.files["config.json"]
    sealed = artifact.manifest.model_copy(update={"reports": {"reports/evaluation.json": record}})
    path = artifact.report_path("evaluation.json")
    path.write_text("sealed")
    evaluate(
        Artifact(path=artifact.path, manifest=sealed), settings=settings_for(span_questions), refresh=True
    )
    assert path.read_text() == "sealed"


@pytest.mark.parametrize(
    "changes",
    [{"engine": "processes"}, {"engine": "processes", "threads": 3}, {"threads": 1}],
    ids=["processes", "three processes", "one thread"],
)
def test_same_answers_on_any_engine(
    make_span_artifact: Make, span_questions: Path, changes: dict[str, object]
) -> None:
    """Engine, instances and threads change neither the answers nor what the evaluation is called."""
    artifact = make_span_artifact()
    expected = evaluate(artifact, settings=settings_for(span_questions))
    found = evaluate(artifact, settings=settings_for(span_questions, **changes), refresh=True)
    assert found.predictions_sha256 == expected.predictions_sha256
    assert found.key == expected.key


def test_runs_as_tuned(
    make_span_artifact: Make, span_questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The artifact's profile says how it runs; batches and runtime, which could change answers, it does not."""
    artifact = make_span_artifact()
    expected = evaluate(artifact, settings=settings_for(span_questions))
    profile = RuntimeProfile.here(instances=3).model_copy(
        update={"runtime": "openvino", "token_budget": 7, "max_batch": 1, "arena": False, "threads": 2}
    )
    artifact.write_report("runtime.json", profile.as_json())
    seen: list[RuntimeProfile] = []

    def opened(path: Path, *, profile: RuntimeProfile, **given: Any) -> Engine:
        seen.append(profile)
        return open_engine(path, profile=profile, **given)

    monkeypatch.setattr("quantkit.stages.evaluate.open_engine", opened)
    found = evaluate(artifact, settings=settings_for(span_questions), refresh=True)
    (used,) = seen
    assert (used.instances, used.threads, used.arena) == (3, 2, False)
    assert (used.runtime, used.token_budget, used.max_batch) == ("onnxruntime", 64, None)
    assert found.predictions_sha256 == expected.predictions_sha256


def test_profile_of_another_cpu(
    make_span_artifact: Make, span_questions: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A profile that was tuned elsewhere is not used, and said so."""
    artifact = make_span_artifact()
    profile = RuntimeProfile(instances=64, cpu={"model": "EPYC 7773X", "cores": 64})
    artifact.write_report("runtime.json", profile.as_json())
    evaluate(artifact, settings=settings_for(span_questions))
    assert "was tuned for EPYC 7773X with 64 cores, not for this CPU" in caplog.text


def test_equal_lengths_need_attention(make_span_artifact: Make, span_questions: Path) -> None:
    """Without fused attention there is no variant without a mask: it is said, not done silently."""
    with pytest.raises(ArtifactError, match="do not ask for equal lengths"):
        evaluate(make_span_artifact(), settings=settings_for(span_questions, equal_lengths=True))
