"""A model that answers: what a notebook or a server asks one text at a time, or many."""

import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from quantkit.api import asking, replies
from quantkit.api.asking import EMBEDDINGS, LABEL_SETS, LABELS, NUMBERS, RANKINGS, SPANS, TAGS
from quantkit.api.making import Place, opened
from quantkit.api.replies import Answer, Label, Ranked
from quantkit.artifact import Artifact
from quantkit.engines import open_engine
from quantkit.errors import UsageError
from quantkit.runtime.hold import hold
from quantkit.runtime.profile import RuntimeProfile, profile_of
from quantkit.runtime.run import Job, run_job
from quantkit.tasks.prepared import Prepared, Reader
from quantkit.tasks.task import Outputs, Question

RepliesT = TypeVar("RepliesT")


class Model:
    """An artifact that is open; close it, or use it in a `with`. Safe to use from several threads.

    Its bytes were checked against the manifest, and those that were checked are those that run.
    """

    def __init__(self, artifact: Artifact, *, threads: int | None = None) -> None:
        """Open an artifact.

        Args:
            artifact: opened, and so checked byte by byte.
            threads: one-thread instances; None: as the artifact's profile says, or all cores.

        Raises:
            ArtifactError: the model cannot be opened.
            CheckpointError: the tokenizer is missing, or is not the model's.
        """
        self.artifact = artifact
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(hold(artifact))
            self._reader = Reader.of(held)
            self._profile = (
                profile_of(artifact) if threads is None else RuntimeProfile.here(instances=threads)
            )
            self._engine = stack.enter_context(
                open_engine(
                    held.model_path,
                    outputs=self._reader.task.outputs,
                    profile=self._profile,
                    name=held.model_name,
                )
            )
            self._open = stack.pop_all()

    @property
    def task(self) -> str:
        """What it does, such as `squad`."""
        return self.artifact.task

    def answer(self, question: str, context: str, *, no_answer: bool = False) -> Answer:
        """Return the part of `context` that answers `question`; long texts are read in overlapping windows.

        Args:
            question: as asked.
            context: the text.
            no_answer: the empty text where no answer is the better one, as a model trained on SQuAD 2.0 can tell.

        Raises:
            UsageError: the model is for another task.
            EvaluationError: a logit is NaN or infinite.
        """
        return self.answers([(question, context)], no_answer=no_answer)[0]

    def answers(self, questions: Sequence[tuple[str, str]], *, no_answer: bool = False) -> list[Answer]:
        """Return one answer for each (question, context), in batches; raises what `answer` raises."""
        self._require((SPANS,), "answer")
        asked = [
            asking.for_answer(number, question, context, no_answer=no_answer)
            for number, (question, context) in enumerate(questions)
        ]
        return self._replies(asked, replies.answers) if asked else []

    def classify(self, text: str, text_pair: str | None = None) -> list[Label]:
        """Return all labels of a text, or of a pair of texts, the most probable first.

        Of `multi-label-classification` each has a probability of its own, and those above 0.5 are given.

        Raises:
            UsageError: the model is for another task.
            EvaluationError: a logit is NaN or infinite.
        """
        return self.classifications([(text, text_pair)])[0]

    def classifications(self, texts: Sequence[str | tuple[str, str | None]]) -> list[list[Label]]:
        """Return the labels of each text or pair, in batches; raises what `classify` raises."""
        self._require((LABELS, LABEL_SETS), "classify")
        ask = asking.for_label if self.task == LABELS else asking.for_labels
        asked = [ask(number, *_pair(text)) for number, text in enumerate(texts)]
        return self._replies(asked, replies.labels) if asked else []

    def score(self, text: str, text_pair: str | None = None) -> float:
        """Return the number that a model of `text-regression` gives a text, or a pair of texts, on its own scale.

        Raises:
            UsageError: the model is for another task.
            EvaluationError: a logit is NaN or infinite.
        """
        return self.scores([(text, text_pair)])[0]

    def scores(self, texts: Sequence[str | tuple[str, str | None]]) -> list[float]:
        """Return the number of each text or pair, in batches; raises what `score` raises."""
        self._require((NUMBERS,), "score")
        asked = [asking.for_number(number, *_pair(text)) for number, text in enumerate(texts)]
        return self._replies(asked, replies.numbers) if asked else []

    def rerank(self, query: str, passages: Sequence[str]) -> list[Ranked]:
        """Return all passages of a query, the best first; of equal ones the first stays first.

        Raises:
            UsageError: the model is for another task.
            EvaluationError: a logit is NaN or infinite.
        """
        self._require((RANKINGS,), "rerank")
        return self._replies([asking.for_order(0, query, passages)], replies.rankings)[0] if passages else []

    def tag(self, words: Sequence[str]) -> list[str]:
        """Return the tag of each word of a sentence, such as `B-PER`; a long sentence is read in several windows.

        Raises:
            UsageError: the model is for another task.
            EvaluationError: a logit is NaN or infinite.
        """
        return self.tags([words])[0]

    def tags(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """Return the tags of the words of each sentence, in batches; raises what `tag` raises."""
        self._require((TAGS,), "tag")
        told = [asking.for_tags(number, words) for number, words in enumerate(sentences) if words]
        found = iter(self._replies(told, replies.tags) if told else ())
        return [next(found) if words else [] for words in sentences]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embedding of each text, float32 [texts, hidden], in batches; a long text is cut.

        Raises:
            UsageError: the model is for another task.
            EvaluationError: an embedding is NaN or infinite.
        """
        self._require((EMBEDDINGS,), "embed")
        asked = [asking.for_embedding(number, text) for number, text in enumerate(texts)]
        return self._replies(asked, replies.embeddings) if asked else np.zeros((0, 0), np.float32)

    def close(self) -> None:
        """Let go of the model and of the private copy that it runs from."""
        self._open.close()

    def __enter__(self) -> Self:
        """Return the model."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _require(self, tasks: Sequence[str], method: str) -> None:
        if self.task not in tasks:
            raise UsageError(
                f"{self.artifact.path}: is for {self.task}; {method} is for {' and '.join(tasks)}"
            )

    def _replies(
        self, questions: Sequence[Question], read: Callable[[Prepared, Sequence[Outputs]], RepliesT]
    ) -> RepliesT:
        prepared = self._reader.prepare(replies.asked(self.task, questions))
        job = Job.of(prepared, self._profile.batches(prepared.lengths))
        return read(prepared, run_job(self._engine, job, label="answer"))


def _pair(text: str | tuple[str, str | None]) -> tuple[str, str | None]:
    return (text, None) if isinstance(text, str) else text


def load(artifact: Artifact | Place, *, threads: int | None = None) -> Model:
    """Open an artifact to ask it: `answer`, `classify`, `score`, each also for many at once, `rerank`, or `embed`.

    Args:
        artifact: a folder, or an artifact that is opened.
        threads: one-thread instances; None: as the artifact's profile says, or all cores.

    Raises:
        ArtifactError: it is no artifact, a byte is not what the manifest says, or the model cannot be opened.
        CheckpointError: the tokenizer is missing, or is not the model's.
    """
    return Model(opened(artifact), threads=threads)
