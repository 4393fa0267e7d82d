"""What every engine does: take batches, run several at once, answer each once."""

from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from quantkit.errors import EvaluationError
from quantkit.runtime.session import ATTENTION_MASK, INPUT_IDS, Arrays

WAITING = 2
"""For each batch that runs, so many may be under way: the one that runs, and the one that comes next."""

Feeds = Mapping[str, NDArray[Any]]


class BatchFailed(EvaluationError):
    """A batch that could not be run; the caller knows better than the engine what it is called."""

    def __init__(self, model: str, batch: str, fault: str, advice: str) -> None:
        """Keep the parts of the message: `<model>: <fault with {batch}>; <advice>`."""
        super().__init__(_message(model, batch, fault, advice))
        self._parts = (model, fault, advice)

    def named(self, batch: str) -> EvaluationError:
        """Return the same error with the batch's own name."""
        model, fault, advice = self._parts
        return EvaluationError(_message(model, batch, fault, advice))


def _message(model: str, batch: str, fault: str, advice: str) -> str:
    return f"{model}: {fault.replace('{batch}', batch)}; {advice}"


def cannot_run(model: str, feeds: Feeds, reason: str) -> BatchFailed:
    """Return the error for a batch that the runtime refuses, with its reason."""
    fault = f"onnxruntime cannot run {{batch}} ({reason})"
    advice = "check that the tokenizer and config are the model's own"
    return BatchFailed(model, describe(feeds), fault, advice)


def describe(feeds: Feeds) -> str:
    """Return a batch in words, from its inputs alone."""
    return f"a batch of {' x '.join(str(size) for size in feeds[INPUT_IDS].shape)} tokens"


def check_full(name: str, feeds: Feeds) -> None:
    """Check that a batch has no padding.

    `RuntimeProfile.equal_lengths` promises that, and `RuntimeProfile.batches` keeps the promise. It is checked for
    every batch: attention without a mask would read padding as text, and nobody would notice.

    Raises:
        EvaluationError: it has.
    """
    if not feeds[ATTENTION_MASK].all():
        raise EvaluationError(
            f"{name}: {describe(feeds)} holds padding, and the model was opened for equal lengths; "
            "cut the batches with the profile's own `batches`"
        )


class Engine(Protocol):
    """Runs batches, `workers` at once. A context manager; leaving it by an exception ends what runs at once.

    Attributes:
        name: what messages call the model.
        outputs: names of the arrays that a batch is answered with.
        by_position: for each of them, whether its second dimension is the sequence (and not the labels).
        workers: how many batches run at once.
        ran_seconds: time inside the runtime so far, over all workers: what is missing to `workers` x the time that
            passed is the engine's own.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see Attributes

    @property
    def outputs(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def by_position(self) -> tuple[bool, ...]: ...  # noqa: D102

    @property
    def workers(self) -> int: ...  # noqa: D102

    @property
    def ran_seconds(self) -> float: ...  # noqa: D102

    def submit(self, feeds: Feeds) -> Future[Arrays]:
        """Take a batch; wait first while 2 x `workers` batches are under way.

        Args:
            feeds: graph input → integers [batch, sequence], unchanged until the future is done.

        Returns:
            A future of the arrays named by `outputs`, or of what went wrong (`BatchFailed` when the batch is to
            blame). Its callbacks run in the thread that got the answer, several at once.

        Raises:
            EvaluationError: the engine has broken down.
            RuntimeError: it is closed.
        """

    def close(self, *, abandon: bool = False) -> None:
        """End the engine: once all batches are answered, or with `abandon` at once."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Closing:
    """A context manager that is closed when it is left: in peace, or at once after an exception."""

    def close(self, *, abandon: bool = False) -> None:
        """End; with `abandon` at once."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; at once after an exception."""
        self.close(abandon=kind is not None)
