"""evaluate goes on where it was interrupted, to the same scores, and believes no damaged answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.artifact import Artifact
from quantkit.files import cache_folder
from quantkit.recipe.settings import EvaluateSettings
from quantkit.records import Evaluation
from quantkit.runtime import answered
from quantkit.runtime.session import Session
from quantkit.stages.evaluate import evaluate

Make = Callable[..., Artifact]
BATCHES = 6
TIMED = ("seconds", "features_per_second", "evaluated")


class _Killed(BaseException):
    """Stands for the end of the process: nothing is written on the way out."""


class Runs:
    """Counts the batches that sessions run, and ends the process at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.end_at: int | None = None
        self.end: type[BaseException] = _Killed
        run = Session.run

        def counted(session: Session, *given: Any) -> Any:
            if self.count == self.end_at:
                raise self.end
            self.count += 1
            return run(session, *given)

        monkeypatch.setattr(Session, "run", counted)

    def take(self) -> int:
        """Return how many there were since the last time."""
        count, self.count, self.end_at = self.count, 0, None
        return count


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Return what counts, with a chunk for every batch."""
    monkeypatch.setattr(answered, "_SECONDS", 0.0)
    return Runs(monkeypatch)


@pytest.fixture
def artifact(make_span_artifact: Make) -> Artifact:
    return make_span_artifact()


def settings(questions: Path) -> EvaluateSettings:
    """Return settings with a batch for each of six windows, one after the other."""
    return EvaluateSettings.model_validate({"data": str(questions), "token_budget": 16, "threads": 1})


def stopped(
    runs: Runs, artifact: Artifact, questions: Path, *, after: int, by: type[BaseException] = _Killed
) -> int:
    """Evaluate until so many batches have run; return how many did."""
    runs.end_at, runs.end = after, by
    with pytest.raises(by):
        evaluate(artifact, settings=settings(questions))
    return runs.take()


def content(found: Evaluation) -> dict[str, Any]:
    """Return everything but what tells of time."""
    return found.model_dump(exclude=set(TIMED)) | {"scores": found.scores}


def chunks() -> list[Path]:
    return sorted((cache_folder() / "answered").rglob("*.npz"))


@pytest.fixture
def whole(artifact: Artifact, span_questions: Path, runs: Runs) -> Evaluation:
    """Return what an evaluation finds that is not interrupted."""
    found = evaluate(artifact, settings=settings(span_questions), cached=False)
    assert runs.take() == BATCHES
    return found


@pytest.mark.parametrize("after", [1, 4, 5])
@pytest.mark.parametrize("by", [_Killed, KeyboardInterrupt])
def test_only_the_rest_runs(
    artifact: Artifact,
    span_questions: Path,
    runs: Runs,
    whole: Evaluation,
    after: int,
    by: type[BaseException],
) -> None:
    """Every bit of the result is that of an evaluation that was not interrupted, and nothing is left behind."""
    assert stopped(runs, artifact, span_questions, after=after, by=by) == after
    assert len(chunks()) == after
    found = evaluate(artifact, settings=settings(span_questions))
    assert runs.take() == BATCHES - after
    assert content(found) == content(whole)
    assert found.predictions_sha256 == whole.predictions_sha256
    assert chunks() == []


def test_ctrl_c_loses_no_answer(
    artifact: Artifact, span_questions: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered since the last chunk is written on the way out."""
    monkeypatch.setattr(answered, "_SECONDS", 1e9)
    stopped(runs, artifact, span_questions, after=4, by=KeyboardInterrupt)
    assert len(chunks()) == 1
    evaluate(artifact, settings=settings(span_questions))
    assert runs.take() == BATCHES - 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-1],
        lambda content: content[:300] + bytes([content[300] ^ 1]) + content[301:],
        lambda content: b"",
        lambda content: content[72:],
    ],
)
def test_a_damaged_chunk_is_a_miss(
    artifact: Artifact, span_questions: Path, runs: Runs, whole: Evaluation, spoil: Callable[[bytes], bytes]
) -> None:
    """What can be answered again is not believed; other chunks are."""
    stopped(runs, artifact, span_questions, after=3)
    chunks()[1].write_bytes(spoil(chunks()[1].read_bytes()))
    assert content(evaluate(artifact, settings=settings(span_questions))) == content(whole)
    assert runs.take() == BATCHES - 2


def test_chunks_of_another_evaluation_are_none(
    artifact: Artifact, span_questions: Path, runs: Runs, whole: Evaluation
) -> None:
    """A file that was copied to where another belongs answers for nothing."""
    stopped(runs, artifact, span_questions, after=3)
    (folder,) = (cache_folder() / "answered").iterdir()
    other = settings(span_questions).model_copy(update={"token_budget": 17})
    key = evaluate(artifact, settings=other, cached=False).key
    folder.rename(folder.with_name(key))
    runs.take()
    assert evaluate(artifact, settings=other).key == key != whole.key
    assert runs.take() == BATCHES


def test_with_a_secret_chunks_of_others_are_none(
    artifact: Artifact, span_questions: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write the cache cannot answer, where the seal is an HMAC."""
    stopped(runs, artifact, span_questions, after=3)
    monkeypatch.setenv("QUANTKIT_CACHE_KEY", "secret")
    evaluate(artifact, settings=settings(span_questions))
    assert runs.take() == BATCHES


@pytest.mark.parametrize("how", [{"refresh": True}, {"cached": False}])
def test_who_asks_for_it_has_all_of_it_run(
    artifact: Artifact, span_questions: Path, runs: Runs, how: dict[str, bool]
) -> None:
    """`--refresh` and `--no-cache` take no answer that is there."""
    stopped(runs, artifact, span_questions, after=3)
    evaluate(artifact, settings=settings(span_questions), **how)
    assert runs.take() == BATCHES
