"""Work: how much of it is done, and how long the rest takes."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Protocol

_SAMPLES = 50
_REMEMBERED = 1.0
"""A phase that took fewer seconds was remembered, and says nothing of how long others take."""
_TELLING_SHARE = 0.02
"""Of a phase that must be done before its pace is believed."""
_TELLING_SECONDS = 0.5
"""Within which no speed is told."""
_AT_ONCE = 0.1
"""Seconds from the beginning within which units that are told of were done before."""


class Advance(Protocol):
    """What is called as work goes on."""

    def __call__(self, count: int, note: str = "") -> None:
        """Tell of so many units that were just done, and what the bar shall say beside its label."""


class Work:
    """Work that goes on, and the work inside of it.

    Attributes:
        what: its label.
        note: what is said beside the label.
        total: number of its units; 0: nobody counts them.
        unit: the unit's name.
        done: units that are done.
        inner: the work that goes on inside of it.
    """

    def __init__(self, what: str, total: float = 0, unit: str = "") -> None:
        """Begin."""
        self.what, self.note = what, ""
        self.total, self.unit, self.done = total, unit, 0.0
        self.inner: Work | None = None
        self.started = time.monotonic()
        self._samples: deque[tuple[float, float]] = deque([(self.started, 0.0)], maxlen=_SAMPLES)

    def advance(self, count: int, note: str = "") -> None:
        """Note that so many units were just done."""
        self.done += count
        self.note = note or self.note
        now = time.monotonic()
        if now - self.started < _AT_ONCE:
            # Done before: it says nothing of the speed.
            self._samples.clear()
        self._samples.append((now, self.done))

    def enter(self, inner: "Work") -> None:
        """Note that work begins inside of this one."""
        self.inner = inner

    def leave(self) -> None:
        """Note that the work inside has ended."""
        self.inner = None

    @property
    def counted(self) -> bool:
        """Whether units are counted."""
        return self.total > 0

    @property
    def share(self) -> float:
        """The share that is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.counted else 0.0

    @property
    def speed(self) -> float:
        """Units per second, of late."""
        (began, first), (_, last) = self._samples[0], self._samples[-1]
        seconds = time.monotonic() - began
        return (last - first) / seconds if seconds > _TELLING_SECONDS else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that the rest takes; None: not known."""
        if not self.counted:
            return None
        return max(0.0, self.total - self.done) / self.speed if self.speed else None

    @property
    def label(self) -> str:
        """What is going on, from the outermost to the innermost."""
        own, inner = f"{self.what}: {self.note}" if self.note else self.what, self.inner
        if inner is None:
            return own
        return inner.label if inner.what == own else f"{own}: {inner.label}"

    @property
    def phase(self) -> str:
        """What is going on, no deeper than the work that is inside this one."""
        inner = self.inner
        return self.what if inner is None else f"{self.what}: {inner.what}"

    @property
    def numbers(self) -> str:
        """How many units are done, of the outermost work that counts."""
        inner = self.inner
        if not self.counted:
            return "" if inner is None else inner.numbers
        if self.unit == "bytes":
            return f"{self.done / 1e6:,.1f}/{self.total / 1e6:,.1f} MB"
        # More than was foreseen: rounds of a bench that is not sure yet.
        return f"{self.done:,.0f}/{max(self.total, self.done):,.0f} {self.unit}".rstrip()

    @property
    def pace(self) -> str:
        """How many units a second, in words."""
        if not self.speed or not self.unit:
            return ""
        return f"{self.speed / 1e6:,.1f} MB/s" if self.unit == "bytes" else f"{self.speed:,.1f}/s"


class Parts(Work):
    """Work that is as far as the works inside of it are, which take about the same time each."""

    def __init__(self, what: str, works: int = 1) -> None:
        """Begin; `works` says how many works it has inside."""
        super().__init__(what)
        self._works, self._ended, self._best = works, 0, 0.0

    def leave(self) -> None:
        """Count the work that has ended."""
        super().leave()
        self._ended += 1

    @property
    def share(self) -> float:
        """The share that is done; it never falls."""
        inner = self.inner
        running = 0.0 if inner is None else inner.share
        self._best = max(self._best, min(1.0, (self._ended + running) / self._works))
        return self._best


class Whole(Work):
    """Work of several phases, each with the time it is expected to take."""

    def __init__(self, what: str, weights: Mapping[str, float]) -> None:
        """Begin; the weights are in any unit of time."""
        super().__init__(what)
        self._weights = dict(weights)
        self._ended: dict[str, float] = {}
        self._best = 0.0

    @property
    def counted(self) -> bool:
        """Its share is known."""
        return True

    def leave(self) -> None:
        """Note how long the phase took."""
        if self.inner is not None:
            self._ended[self.inner.what] = time.monotonic() - self.inner.started
        super().leave()

    @property
    def share(self) -> float:
        """The share of the weights that is done; it never falls."""
        inner = self.inner
        done = sum(self._weights.get(name, 0.0) for name in list(self._ended))
        if inner is not None and inner.what not in self._ended:
            done += self._weights.get(inner.what, 0.0) * inner.share
        self._best = max(self._best, min(1.0, done / sum(self._weights.values())))
        return self._best

    @property
    def left(self) -> float | None:
        """Seconds: the rest of this phase at its own pace, later ones at that of all that were not remembered."""
        ended, inner = dict(self._ended), self.inner
        fresh = {name: took for name, took in ended.items() if took >= _REMEMBERED}
        seconds, weight = sum(fresh.values()), sum(self._weights.get(name, 0.0) for name in fresh)
        later = sum(value for name, value in self._weights.items() if name not in ended)
        rest = 0.0
        if inner is not None:
            took, share = time.monotonic() - inner.started, inner.share
            if share >= _TELLING_SHARE and took >= _REMEMBERED:
                here = self._weights.get(inner.what, 0.0)
                seconds, weight, later = seconds + took, weight + here * share, later - here
                rest = took * (1 - share) / share
        return rest + max(0.0, later) * seconds / weight if weight > 0 else None

    @property
    def label(self) -> str:
        """What is going on, with the numbers of what counts inside."""
        inner = self.inner
        # One of phases says its numbers itself.
        numbers = "" if inner is None or isinstance(inner, Whole) else inner.numbers
        return f"{super().label} {numbers}".rstrip()

    @property
    def numbers(self) -> str:
        """How much is done, in percent."""
        return f"{100 * self.share:.0f} %"
