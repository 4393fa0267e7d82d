"""The work of `evaluate` and `gate` on artifacts that nobody trusts: done by a process with limits, then checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from quantkit.artifact import Artifact
from quantkit.errors import EvaluationError, UsageError
from quantkit.pipeline.confined_jobs import described
from quantkit.recipe.settings import EvaluateSettings
from quantkit.records import Inspection, Lineage
from quantkit.records.record import Report
from quantkit.runtime.confinement import Confinement, Limits
from quantkit.runtime.hold import hold

_JOBS = "quantkit.pipeline.confined_jobs"
Found = TypeVar("Found", bound=Report)


class Confined:
    """The stages' work, by one process that is started when the first of it is asked for."""

    def __init__(self, limits: Limits, artifacts: Sequence[Artifact]) -> None:
        """Set the limits for these artifacts; nothing is started yet."""
        self._limits = limits
        self._bytes = sum(artifact.model_bytes for artifact in artifacts)
        self._process = Confinement(jobs=_JOBS, memory_bytes=limits.memory_for(self._bytes))

    def __enter__(self) -> "Confined":
        """Return itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """End the process."""
        self._process.close()

    def evaluate(
        self, held: Artifact, settings: EvaluateSettings, data_dir: Path | None, questions: int
    ) -> Any:
        """Have an artifact evaluated; see `quantkit.stages.evaluate.Elsewhere`.

        Raises:
            UsageError: another engine than the threads of the process is asked for.
            QuantkitError: as `evaluate` and `Confinement.call` do.
        """
        if settings.engine not in (None, "threads"):
            raise UsageError(
                f"--engine {settings.engine}: has processes of its own, which --untrusted does not bound; "
                "leave it out, or say --trusted"
            )
        # What an artifact's own profile names is not asked.
        own = settings.model_copy(update={"engine": "threads"})
        arguments = {
            "artifact": described(held),
            "settings": own.model_dump(mode="json"),
            "data_dir": None if data_dir is None else str(data_dir),
        }
        return self._call("evaluate", arguments, held, questions)

    def inspect(self, artifact: Artifact) -> Inspection:
        """Have an artifact inspected.

        Raises:
            QuantkitError: as `inspect` and `Confinement.call` do.
        """
        with hold(artifact, read=False) as held:
            return _read(Inspection, self._call("inspect", {"artifact": described(held)}, held, 1), held)

    def lineage(self, candidate: Artifact, baseline: Artifact) -> Lineage:
        """Have the weights of two artifacts compared.

        Raises:
            QuantkitError: as `lineage` and `Confinement.call` do.
        """
        with hold(candidate, read=False) as ours, hold(baseline, read=False) as theirs:
            arguments = {"artifact": described(ours), "baseline": described(theirs)}
            return _read(Lineage, self._call("lineage", arguments, ours, 1), ours)

    def _call(self, job: str, arguments: dict[str, Any], held: Artifact, questions: int) -> Any:
        seconds = self._limits.seconds_for(self._bytes, questions)
        return self._process.call(job, arguments, seconds=seconds, name=held.model_name)


def _read(kind: type[Found], content: Any, held: Artifact) -> Found:
    try:
        return kind.model_validate(content)
    except ValidationError:
        raise EvaluationError(
            f"{held.place}: the process that ran it gave no report of it; do not use it"
        ) from None
