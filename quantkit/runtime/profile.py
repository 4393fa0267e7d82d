"""How a model is best run on a CPU: what `tune` found, what `evaluate` and a server read, or what is safe anywhere.

It travels in the artifact as `reports/runtime.json`, which does not change the artifact's digest: it is a fact about a
machine, not about the model.
"""

import logging
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from quantkit.artifact import Artifact
from quantkit.records.record import Report
from quantkit.runtime.batching import Batch, equal_length_batches, token_budget_batches
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.where import Where
from quantkit.tables import ENGINES, RUNTIMES, OneOf

RUNTIME_REPORT = "runtime.json"
TOKEN_BUDGET = 1024
_LOG = logging.getLogger(__name__)


class RuntimeProfile(Report):
    """Instances, threads and batches for one CPU.

    Attributes:
        instances: how many batches run at once, each in an instance of its own.
        threads: threads inside one instance.
        token_budget: the most tokens of a batch, padding included.
        max_batch: the most rows of a batch; None for no limit but the budget.
        engine: `threads` of this process share the weights; `processes` have memory and cores of their own.
        runtime: what runs the graph.
        pinned: each instance stays on its own cores (of engine `threads`: instances of one thread).
        spinning: threads of an instance wait for work without sleeping: faster between operators, and the cores are
            never free for others.
        arena: memory of a finished batch is kept for the next.
        equal_lengths: only rows of one length share a batch, and the graph without a mask runs.
        exact_int8: int8 weights whose sums saturate on this CPU are multiplied as uint8 ones: exact, and slower.
        ray_address: of the cluster, for the engine `ray`; where something ran once, and so in no file.
        cpu: the facts (`CpuFacts.as_json`) it is valid for; empty for any CPU.
        measured: what `tune` saw.
    """

    format: Literal["quantkit/runtime/1"] = Field(default="quantkit/runtime/1", alias="schema")
    instances: int = Field(ge=1)
    threads: int = Field(default=1, ge=1)
    token_budget: int = Field(default=TOKEN_BUDGET, ge=1)
    max_batch: int | None = Field(default=None, ge=1)
    engine: Annotated[str, OneOf(ENGINES)] = "threads"
    runtime: Annotated[str, OneOf(RUNTIMES)] = "onnxruntime"
    pinned: bool = False
    spinning: bool = False
    arena: bool = True
    equal_lengths: bool = False
    exact_int8: bool = False
    ray_address: str | None = Field(default=None, exclude=True)
    cpu: dict[str, Any] = Field(default_factory=dict)
    measured: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def here(cls, *, instances: int | None = None) -> Self:
        """Return what is safe on this machine: one one-thread instance per core, weights in memory once."""
        facts = cpu_facts()
        return cls(instances=instances or facts.cores, cpu=facts.as_json())

    def on(self, where: Where) -> Self:
        """Return the same on another engine."""
        return self.model_copy(update={"engine": where.engine, "ray_address": where.address})

    @property
    def where(self) -> Where:
        """The engine and its address.

        Raises:
            UsageError: there is an address, and the engine has none.
        """
        return Where(engine=self.engine, address=self.ray_address)

    def batches(self, lengths: Sequence[int]) -> list[Batch]:
        """Return which rows run together, from the tokens of each row."""
        cut = equal_length_batches if self.equal_lengths else token_budget_batches
        return cut(lengths, self.token_budget, self.max_batch)

    def fits(self, cpu: dict[str, Any]) -> bool:
        """Tell whether it is valid for a CPU: the same model and instruction sets, and as many cores."""
        return not self.cpu or self.cpu == cpu


def profile_of(artifact: Artifact) -> RuntimeProfile:
    """Return the artifact's runtime profile; the default of this machine when it has none, or one of another CPU.

    Raises:
        ArtifactError: there is one, and it cannot be read.
    """
    path = artifact.report_path(RUNTIME_REPORT)
    if not path.is_file():
        return RuntimeProfile.here()
    profile = RuntimeProfile.read(path)
    if not profile.fits(cpu_facts().as_json()):
        _LOG.warning(
            "%s: was tuned for %s with %s cores, not for this CPU; defaults are used, tune it here",
            path,
            profile.cpu.get("model", "another CPU"),
            profile.cpu.get("cores", "other"),
        )
        return RuntimeProfile.here()
    return profile
