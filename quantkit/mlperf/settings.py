"""What the user asks for: runs, their size, and whose submission it is."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from quantkit.errors import UsageError
from quantkit.mlperf.rules import (
    BENCHMARKS,
    DATASET,
    MIN_DURATION_MS,
    REFERENCE_F1,
    Division,
    ModeName,
    ScenarioName,
)
from quantkit.recipe.fields import Cli, Place, Section
from quantkit.runtime.profile import RuntimeProfile
from quantkit.tables import ENGINES, OneOf, Table

QUICK_QUESTIONS = 64
QUICK_SECONDS = 2
_BENCHMARKS = Table({name: ("", f"{share * 100:g} % of it") for name, share in BENCHMARKS.items()})


class MlperfSettings(Section):
    """artifact → LoadGen runs and a submission."""

    scenarios: Annotated[tuple[ScenarioName, ...], Cli(names=("--scenario",))] = Field(
        default=("offline", "single-stream"),
        min_length=1,
        description="what LoadGen asks for: all samples in one query, or one at a time",
    )
    modes: Annotated[tuple[ModeName, ...], Cli(names=("--mode",), either="both")] = Field(
        default=("accuracy", "performance"), min_length=1, description="what LoadGen measures"
    )
    quick: Annotated[bool, Cli(gives=True)] = Field(
        default=False, description="smoke run: 64 questions, 2 seconds a run; NOT SUBMITTABLE"
    )
    benchmark: Annotated[str, OneOf(_BENCHMARKS)] = Field(
        default="bert-99.9", description="which share of the reference's F1 is to be reached"
    )
    data: Annotated[str, Place("dataset"), Cli(metavar="NAME|FILE")] = Field(
        default=DATASET, description="dataset name, or a file in SQuAD's format; another is NOT SUBMITTABLE"
    )
    limit: int | None = Field(default=None, ge=1, description="first N questions only; NOT SUBMITTABLE")
    min_duration: Annotated[int, Cli(metavar="SECONDS")] = Field(
        default=MIN_DURATION_MS // 1000, ge=1, description="time that a performance run lasts at least"
    )
    target_qps: float | None = Field(
        default=None,
        gt=0,
        le=1e9,
        description="samples per second that Offline reckons with; default: estimated",
    )
    target_latency_ms: Annotated[float, Cli(names=("--target-latency",), metavar="MS")] | None = Field(
        default=None,
        ge=1e-3,
        le=1e9,
        description="time per query that SingleStream reckons with; default: estimated",
    )

    def reasons(self) -> tuple[str, ...]:
        """Return why runs with these settings are no result; empty when they may be one."""
        found = {
            "a quick run": self.quick,
            f"the dataset is {self.data}, not SQuAD v1.1 dev": self.data != DATASET,
            f"only the first {self.limit} questions": self.limit is not None and not self.quick,
            f"{self.min_duration} s instead of {MIN_DURATION_MS // 1000} s": (
                self.min_duration * 1000 < MIN_DURATION_MS and not self.quick
            ),
            f"no {' and no '.join(sorted({'accuracy', 'performance'} - set(self.modes)))} run": (
                len(set(self.modes)) < 2
            ),
        }
        return tuple(reason for reason, holds in found.items() if holds)

    def sized(self) -> "MlperfSettings":
        """Return the settings with the size of a quick run, where it is one."""
        if not self.quick:
            return self
        return self.model_copy(
            update={
                "limit": self.limit or QUICK_QUESTIONS,
                "min_duration": min(self.min_duration, QUICK_SECONDS),
            }
        )


class EntrySettings(Section):
    """Whose submission it is, as it is said on the command line."""

    division: Division = Field(default="open", description="division of MLPerf")
    submitter: str | None = Field(default=None, description="organisation that submits")
    system: str | None = Field(
        default=None, description="name of the system, or FILE.json with its whole description"
    )
    fields: Annotated[tuple[str, ...], Cli(names=("--set",), metavar="FIELD=VALUE")] = Field(
        default=(), description="a field of the description"
    )
    retraining: str | None = Field(
        default=None, description="how the weights came about, for measurements.json"
    )


class ProfileChanges(Section):
    """What is run otherwise than the artifact's runtime profile says."""

    token_budget: int | None = Field(
        default=None, ge=1, description="tokens per batch; default: the artifact's profile"
    )
    instances: int | None = Field(
        default=None, ge=1, description="batches that run at once; default: the artifact's profile"
    )
    threads: int | None = Field(
        default=None, ge=1, description="threads per instance; default: the artifact's profile"
    )
    engine: Annotated[str, OneOf(ENGINES, only=("threads", "processes"))] | None = Field(
        default=None, description="what the instances are; default: the artifact's profile"
    )

    def applied(self, profile: RuntimeProfile) -> RuntimeProfile:
        """Return a profile with these changes."""
        return RuntimeProfile.model_validate(profile.as_json() | self.model_dump(exclude_none=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """The F1 that the candidate's is compared with.

    Attributes:
        f1: in percent, unrounded.
        whose: in words.
    """

    f1: float = REFERENCE_F1
    whose: str = "MLPerf's FP32 BERT-Large"


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Whose submission it is.

    Attributes:
        division: open or closed.
        submitter: the organisation; a folder is named after it.
        system: the name of the system; a file and a folder are named after it.
        description: the fields of systems/<system>.json.
        retraining: how the weights came about, for measurements.json.
    """

    division: Division
    submitter: str
    system: str
    description: dict[str, str]
    retraining: str

    def __post_init__(self) -> None:
        """Refuse names that cannot be folders.

        Raises:
            UsageError: a name has other letters than those of a folder anywhere.
        """
        for option, name in (("submitter", self.submitter), ("system", self.system)):
            if not _NAME.fullmatch(name):
                raise UsageError(
                    f"--{option} {name!r}: names a folder; use letters, digits, and . _ + - between them"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """All that is asked for.

    Attributes:
        settings: scenarios, modes and sizes.
        entry: whose submission it is.
        reference: what F1 is compared with.
        profile: instances, threads and batches.
        command: what was typed, for the README of each scenario.
    """

    settings: MlperfSettings
    entry: Entry
    reference: Reference
    profile: RuntimeProfile
    command: tuple[str, ...] = ()
