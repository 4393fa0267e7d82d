"""TuneReport: every way to run an artifact that `tune` tried, and the one it chose."""

from typing import Any

from pydantic import Field

from quantkit.records.record import Record, Report


class TuneTrial(Record):
    """One runtime profile in one step of the search."""

    step: str = Field(description="grid, grid again, options, together, final")
    profile: dict[str, Any] = Field(description="the settings of the runtime profile")
    qps: float = Field(description="windows per second, or questions per second that are held")
    ratio: float = Field(description="to the default profile in the same round, median over rounds")
    interval: tuple[float, float] = Field(description="encloses the median with 90 %")
    windows: int = Field(description="rows of each pass or trial")
    rounds: int


class TuneSkipped(Record):
    """A profile that could not be tried, and why."""

    profile: dict[str, Any]
    reason: str


class TuneReport(Report):
    """What was tried, in order, and what came of it."""

    format: str = Field(default="quantkit/tune/1", alias="schema")
    artifact: str
    scenario: str = Field(description="offline, or server: the highest rate within the latency bound")
    latency_bound_ms: float | None = None
    dataset_name: str
    dataset: str
    seconds: float
    reference: dict[str, Any] = Field(description="the profile of every ratio: the default of this machine")
    chosen: dict[str, Any]
    qps: float
    ratio: float
    interval: tuple[float, float]
    sure: bool = Field(description="the interval lies above 1; when not, the default was chosen")
    settled: bool = Field(description="the interval is as narrow as was asked for")
    trials: tuple[TuneTrial, ...]
    skipped: tuple[TuneSkipped, ...] = ()
    tools: dict[str, str] = {}
    cpu: dict[str, Any] = {}

    def grid(self, runtime: str) -> dict[tuple[str, int], float]:
        """Return of a runtime (instances x threads, token budget) → ratio, as measured longest."""
        cells: dict[tuple[str, int], float] = {}
        for trial in self.trials:
            if trial.step.startswith("grid") and trial.profile["runtime"] == runtime:
                cells[shape_text(trial.profile), trial.profile["token_budget"]] = trial.ratio
        return cells

    @property
    def runtimes(self) -> list[str]:
        """The runtimes of the grid, in the order they were tried."""
        return list(dict.fromkeys(trial.profile["runtime"] for trial in self.trials))


def shape_text(profile: dict[str, Any]) -> str:
    """Return instances and threads in each, such as `2 x 1`."""
    return f"{profile['instances']} x {profile['threads']}"


def profile_text(profile: dict[str, Any]) -> str:
    """Return a profile in words: `onnxruntime, 2 x 1 threads, 1,024 tokens, equal lengths`."""
    words = [
        str(profile["runtime"]),
        f"{shape_text(profile)} {profile['engine']}",
        f"{profile['token_budget']:,} tokens",
    ]
    # Processes are pinned by default, threads are not.
    if profile["pinned"] != (profile["engine"] == "processes"):
        words.append("pinned" if profile["pinned"] else "not pinned")
    words += [
        said for name, said in (("equal_lengths", "equal lengths"), ("spinning", "spinning")) if profile[name]
    ]
    return ", ".join(words if profile["arena"] else [*words, "no arena"])
