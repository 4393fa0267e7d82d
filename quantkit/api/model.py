"""A model that answers: what a notebook or a server asks one text at a time, or many."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from quantkit.api.making import Place, opened
from quantkit.artifact import Artifact
from quantkit.engines import open_engine
from quantkit.errors import UsageError
from quantkit.metrics.distributions import softmax
from quantkit.metrics.ranking import ranking
from quantkit.runtime.hold import hold
from quantkit.runtime.profile import RuntimeProfile, profile_of
from quantkit.runtime.run import Job, run_job
from quantkit.tasks import Dataset
from quantkit.tasks.multi_label import sigmoid
from quantkit.tasks.multi_label.read import LabelSetQuestion
from quantkit.tasks.prepared import Prepared, Reader
from quantkit.tasks.reranking.read import RankedQuestion
from quantkit.tasks.sentence_similarity import SimilarityQuestion
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.task import Outputs, Question, require_outputs
from quantkit.tasks.text_classification import TextQuestion
from quantkit.tasks.text_regression import NumberQuestion
from quantkit.tasks.token_classification import Sentence, SentenceWindow, tags_of

SPANS = "squad"
LABELS = "text-classification"
LABEL_SETS = "multi-label-classification"
NUMBERS = "text-regression"
RANKINGS = "reranking"
EMBEDDINGS = "sentence-similarity"
TAGS = "token-classification"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A part of a text.

    Attributes:
        text: as it stands there; empty when no part of it can be an answer.
        score: the share of the model's own probability that agrees with it, 0 to 1.
    """

    text: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A label of a text.

    Attributes:
        name: from the model's config.json, or its index.
        score: its probability, 0 to 1.
    """

    name: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A passage in its place.

    Attributes:
        passage: which it is of those that were given, from 0.
        score: what the model gives it, on its own scale; higher is better.
    """

    passage: int
    score: float


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
            SquadQuestion(
                id=str(number),
                group="",
                question=question,
                context=context,
                answers=("",),
                nullable=no_answer,
            )
            for number, (question, context) in enumerate(questions)
        ]
        if not asked:
            return []
        prepared, outputs = self._run(asked)
        texts = [prediction.answer for prediction in prepared.predict(outputs)]
        # The model's own probability of its answer is the score it may expect were its answer the right one.
        said = [replace(question, answers=(text,)) for question, text in zip(asked, texts, strict=True)]
        agreed = replace(prepared, dataset=replace(prepared.dataset, questions=tuple(said)))
        scores = agreed.expected_scores(outputs)
        return [Answer(text=text, score=score) for text, score in zip(texts, scores, strict=True)]

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
        asked: list[Question] = []
        for number, text in enumerate(texts):
            one, pair = (text, None) if isinstance(text, str) else text
            name = str(number)
            if self.task == LABELS:
                asked.append(TextQuestion(id=name, group=name, text=one, text_pair=pair, label=0))
            else:
                asked.append(LabelSetQuestion(id=name, group=name, text=one, text_pair=pair, labels=()))
        return [self._labels(logits) for (logits,) in self._checked(asked)]

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
        pairs = [(text, None) if isinstance(text, str) else text for text in texts]
        asked = [
            NumberQuestion(id=str(number), group=str(number), text=text, text_pair=pair, score=0.0)
            for number, (text, pair) in enumerate(pairs)
        ]
        return [float(logits[0]) for (logits,) in self._checked(asked)]

    def rerank(self, query: str, passages: Sequence[str]) -> list[Ranked]:
        """Return all passages of a query, the best first; of equal ones the first stays first.

        Raises:
            UsageError: the model is for another task.
            EvaluationError: a logit is NaN or infinite.
        """
        self._require((RANKINGS,), "rerank")
        if not passages:
            return []
        none = tuple(0.0 for _ in passages)
        asked = RankedQuestion(
            id="query", group="query", query=query, passages=tuple(passages), relevance=none
        )
        scores = [float(logits[0]) for (logits,) in self._checked([asked])]
        return [Ranked(passage=at, score=scores[at]) for at in ranking(scores, none)]

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
        asked = [
            Sentence(id=str(number), group=str(number), words=tuple(words), tags=(0,) * len(words))
            for number, words in enumerate(sentences)
        ]
        told = [question for question in asked if question.words]
        if not told:
            return [[] for _ in asked]
        prepared, outputs = self._run(told)
        prepared.predict(outputs)  # refuses what is no number
        found = iter(tags_of(cast(Sequence[SentenceWindow], prepared.rows), outputs).values())
        return [next(found) if question.words else [] for question in asked]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embedding of each text, float32 [texts, hidden], in batches; a long text is cut.

        Raises:
            UsageError: the model is for another task.
            EvaluationError: an embedding is NaN or infinite.
        """
        self._require((EMBEDDINGS,), "embed")
        asked = [
            SimilarityQuestion(id=str(number), group=str(number), text=text, text_pair=None, score=None)
            for number, text in enumerate(texts)
        ]
        if not asked:
            return np.zeros((0, 0), np.float32)
        prepared, outputs = self._run(asked)
        require_outputs(prepared.dataset, prepared.rows, outputs, self._reader.task.outputs, per_token=False)
        return np.stack([embedding for (embedding,) in outputs])

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

    def _checked(self, asked: Sequence[Question]) -> list[Outputs]:
        """Return the outputs of every row, after the task's own checks of them."""
        if not asked:
            return []
        prepared, outputs = self._run(asked)
        prepared.predict(outputs)  # refuses what is no number
        return outputs

    def _run(self, asked: Sequence[Question]) -> tuple[Prepared, list[Outputs]]:
        dataset = Dataset(
            name="asked", path=Path("asked"), digest="", source="", task=self.task, questions=tuple(asked)
        )
        prepared = self._reader.prepare(dataset)
        job = Job.of(prepared, self._profile.batches(prepared.lengths))
        return prepared, run_job(self._engine, job, label="answer")

    def _labels(self, logits: NDArray[Any]) -> list[Label]:
        names = self._reader.tokenizer.labels
        shares = softmax(logits) if self.task == LABELS else sigmoid(logits)
        ranked = sorted(range(len(shares)), key=lambda index: -shares[index])
        return [
            Label(name=names[index] if index < len(names) else str(index), score=float(shares[index]))
            for index in ranked
        ]


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
