"""Exam: labelled questions, what FP32 answers to them, and how another model's answers compare."""

import copy
import time
from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.engines import open_engine, seats
from quantkit.errors import DatasetError
from quantkit.exam.kept import read_answers, write_answers
from quantkit.exam.marks import Marks
from quantkit.metrics.distributions import divergence, ratio_bound
from quantkit.metrics.embeddings import cosine
from quantkit.metrics.metric import changed, measures_of, percent
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import ThreadEngine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Job, batched, run_job
from quantkit.runtime.session import Arrays, Session
from quantkit.runtime.sessions import Running
from quantkit.runtime.where import HERE, Where
from quantkit.tasks import Dataset
from quantkit.tasks.prepared import Reader

TOKEN_BUDGET = 1024
_LEAST_TIMED = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Sitting:
    """How an exam is held.

    Attributes:
        label: what the progress bar says.
        judged: a score is needed; without, only divergence and changes are.
        where: FP32 and what sits by `sit_file` answer; the answers are the same to the last bit.
    """

    label: str
    judged: bool = True
    where: Where = HERE


class Exam:
    """The questions, cut into windows, with FP32's answers; models are opened and sit it one after the other."""

    def __init__(
        self,
        artifact: Artifact,
        dataset: Dataset,
        sitting: Sitting,
        *,
        confidence: float,
        kept: Path | None = None,
    ) -> None:
        """Let the FP32 artifact answer.

        Args:
            artifact: FP32.
            dataset: the questions.
            sitting: how it is held.
            confidence: of the lower bound.
            kept: a file for FP32's answers, of this model and these questions only; they are taken from it.

        Raises:
            DatasetError: FP32 scores nothing at all, so there is nothing to keep.
            EvaluationError: a logit is NaN or infinite.
        """
        self.dataset = dataset
        self._confidence = confidence
        self._label = sitting.label
        self._where = sitting.where
        self._prepared = Reader.of(artifact).prepare(dataset)
        self.job: Job = batched(self._prepared, token_budget=TOKEN_BUDGET)
        started = time.perf_counter()
        self._reference = self._remembered(artifact.model_path, kept)
        self._float_seconds = time.perf_counter() - started
        self._scores = self._prepared.predict(self._reference)
        self._expected = self._expectations(self._reference)
        self._metric = self._prepared.metric
        self.baseline = percent(self._metric, measures_of(self._scores))
        self._scored = sum(self._expected) > 0 and self.baseline > 0
        if sitting.judged and not self._scored:
            raise DatasetError(
                f"{dataset.path}: FP32 answers none of the {len(self._scores)} questions right; "
                "choose questions of the kind the model was trained for"
            )

    @property
    def windows(self) -> int:
        """How many rows the questions make."""
        return len(self._prepared.rows)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that count."""
        return self._prepared.reader.task.outputs

    @property
    def at_once(self) -> int:
        """How many models may sit it at a time: on a cluster one answers while the next is built here."""
        return 2 if self._where.engine == "ray" else 1

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return self._prepared.lengths

    def here(self) -> "Exam":
        """Return the same exam, held in the process at hand."""
        exam = copy.copy(self)
        exam._where = HERE
        return exam

    def timed_job(self, seconds: float, *, most: int) -> Job:
        """Return a part of the job for timing: about so many seconds in FP32, and no more than `most` windows."""
        affordable = int(seconds * self.windows / max(self._float_seconds, 1e-6))
        return self.job.part(min(most, max(_LEAST_TIMED, affordable)))

    def open(self, path: Path) -> Session:
        """Open a model the way it is served: one thread a session."""
        return Session(path, outputs=self._prepared.reader.task.outputs)

    def sit(self, session: Running) -> Marks:
        """Answer every question and compare.

        Raises:
            EvaluationError: a logit is NaN or infinite.
        """
        return self._marks(self._answer(session))

    def sit_file(self, path: Path) -> Marks:
        """Open a model where the exam is held, let it answer every question, and compare.

        Raises:
            EvaluationError: a logit is NaN or infinite, or the cluster is busy.
            UsageError: there is no such cluster.
        """
        return self._marks(self._answered(path))

    def _marks(self, outputs: list[Arrays]) -> Marks:
        scores = self._prepared.predict(outputs)
        expected = self._expectations(outputs)
        score = percent(self._metric, measures_of(scores))
        ratio, low = (
            ratio_bound(self._expected, expected, confidence=self._confidence) if self._scored else (1.0, 1.0)
        )
        return Marks(
            divergence=divergence(self._reference, outputs, self._prepared.reader.task.outcome),
            changed=changed(self._metric, self._scores, scores),
            score=score,
            ratio=score / self.baseline if self._scored else 1.0,
            expected_ratio=ratio,
            expected_ratio_low=low,
        )

    def _expectations(self, outputs: list[Arrays]) -> list[float]:
        """Return the score that each question may expect; of texts without scores their cosine to FP32's."""
        if self._prepared.scored:
            return self._prepared.expected_scores(outputs)
        cosines: list[list[float]] = [[] for _ in self.dataset.questions]
        for row, wanted, found in zip(self._prepared.rows, self._reference, outputs, strict=True):
            cosines[row.question].append(max(0.0, cosine(wanted[0], found[0])))
        return [sum(each) / len(each) for each in cosines]

    def _answer(self, session: Running) -> list[Arrays]:
        with ThreadEngine([session] * cpu_facts().cores) as engine:
            return run_job(engine, self.job, label=self._label)

    def _remembered(self, path: Path, kept: Path | None) -> list[Arrays]:
        found = None if kept is None else read_answers(kept, self.windows)
        if found is None:
            found = self._answered(path)
            if kept is not None:
                write_answers(kept, found)
        return found

    def _answered(self, path: Path) -> list[Arrays]:
        if self._where.engine != "ray":
            return self._answer(self.open(path))
        instances = min(seats(self._where), len(self.job.batches))
        profile = RuntimeProfile(instances=instances).on(self._where)
        with open_engine(path, outputs=self.outputs, profile=profile, name=self._label) as engine:
            return run_job(engine, self.job, label=self._label)
