"""Tracked: blocks that are shown while they run; what begins inside of one shows in its line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from quantkit.progress.bar import in_bar, on_terminal
from quantkit.progress.lines import in_lines, spoken
from quantkit.progress.work import Advance, Parts, Whole, Work

Listener = Callable[[str, int, str, int], None]
"""Is told of a step: the arguments of `track`, and the number of units just done."""
Phase = Callable[..., AbstractContextManager[None]]
"""Begins a phase by its name; `works` says how many tracked works are in it, where it is more than one."""
_listeners: list[Listener] = []
_current: ContextVar[Work | None] = ContextVar("quantkit_progress", default=None)
_outermost: ContextVar[Work | None] = ContextVar("quantkit_progress_outermost", default=None)


def tell(listener: Listener) -> None:
    """Tell somebody of every step from now on, in place of showing it: a process whose parent shows it."""
    _listeners[:] = [listener]


@contextmanager
def track(what: str, total: int, unit: str = "") -> Iterator[Advance]:
    """Show progress while the block runs; the yielded function is called with the number of units just done.

    Args:
        what: the label, such as "evaluate".
        total: the number of units in all.
        unit: the unit's name for the rate, such as "questions".
    """
    if _listeners:

        def pass_on(count: int, note: str = "") -> None:
            _listeners[0](f"{what}: {note}" if note else what, total, unit, count)

        yield pass_on
        return
    work = Work(what, total, unit)
    with _shown(work):
        yield work.advance


@contextmanager
def step(what: str, works: int = 1) -> Iterator[None]:
    """Show that something goes on while the block runs, which nobody can count.

    Args:
        what: the label, such as "export: trace the model".
        works: how many tracked works are in it; inside of others it is as far as they are.
    """
    if _listeners:
        _listeners[0](what, 1, "", 0)
        yield
        return
    with _shown(Parts(what, works)):
        yield


@contextmanager
def phases(what: str, weights: Mapping[str, float]) -> Iterator[Phase]:
    """Show one line for long work of several phases: the share that is done, and the time left.

    Usage: `with phases("auto", {"calibrate": 1, "prices": 4}) as phase: … with phase("prices", works=2): …`. A phase is
    as far as what is tracked in it. One that takes no second was remembered, and the time left is not judged by it.

    Args:
        what: the label, such as "auto".
        weights: phase → how long it is expected to take, in any unit. One that does not come up counts as not done.
    """
    if _listeners:

        @contextmanager
        def silent(name: str, works: int = 1) -> Iterator[None]:
            del name, works
            yield

        yield silent
        return
    with _shown(Whole(what, weights)):
        yield step


def standing() -> tuple[str, float] | None:
    """Return the phase that runs, and the share that is done of its `phases`; None outside of any."""
    work, found = _outermost.get(), None
    while work is not None:
        if isinstance(work, Whole):
            found = work
        work = work.inner
    return None if found is None or found.inner is None else (found.inner.what, found.share)


@contextmanager
def _shown(work: Work) -> Iterator[None]:
    outer = _current.get()
    token = _current.set(work)
    try:
        if outer is None:
            outermost = _outermost.set(work)
            try:
                with _display(work):
                    yield
            finally:
                _outermost.reset(outermost)
        else:
            outer.enter(work)
            try:
                yield
            finally:
                outer.leave()
    finally:
        _current.reset(token)


@contextmanager
def _display(work: Work) -> Iterator[None]:
    if on_terminal():
        with in_bar(work):
            yield
    elif spoken():
        with in_lines(work):
            yield
    else:
        yield
