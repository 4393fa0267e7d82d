"""Artifacts and the reports they carry, each report checked to be about the artifact it lies in."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from quantkit.artifact import Artifact
from quantkit.artifact.manifest import REPORTS
from quantkit.errors import ArtifactError, UsageError
from quantkit.files import digest_of
from quantkit.records import BenchReport, Evaluation, GateReport, Inspection, SearchReport, Sensitivity
from quantkit.records.comparison import ScoreSource
from quantkit.records.record import Report
from quantkit.report.digits import short
from quantkit.runtime.profile import RUNTIME_REPORT, RuntimeProfile

_ReportT = TypeVar("_ReportT", bound=Report)


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """One artifact and the reports it carries, each checked to be about its digest."""

    artifact: Artifact
    name: str
    evaluations: dict[str, Evaluation]
    inspection: Inspection | None
    gate: GateReport | None
    bench: BenchReport | None
    search: SearchReport | None
    sensitivity: Sensitivity | None
    tuned: RuntimeProfile | None

    @property
    def digest(self) -> str:
        """The artifact's digest."""
        return self.artifact.digest

    @property
    def path(self) -> str:
        """Where it is, as a shell reads it."""
        return shlex.quote(str(self.artifact.path))

    def exported(self, fact: str) -> Any:
        """Return what the export recorded, None where the artifact does not know."""
        record = self.artifact.manifest.stage("export")
        return None if record is None else record.facts.get(fact)

    def scored(self, source: ScoreSource | None) -> tuple[str, Evaluation] | None:
        """Return the file with the artifact's scores of this source, and the scores; None when there are none."""
        if source is None:
            return None
        expected = digest_of([source.dataset, source.questions, source.settings["features"]])
        named = sorted(self.evaluations.items(), reverse=True)
        return next(((name, each) for name, each in named if score_key(each) == expected), None)


def score_key(evaluation: Evaluation) -> str:
    """Return what must be alike for scores to be compared: the questions, and how they became windows."""
    return digest_of([evaluation.dataset, evaluation.questions, evaluation.settings.get("features")])


def read(artifacts: Sequence[Artifact]) -> list[Carried]:
    """Read what artifacts carry.

    Raises:
        UsageError: there is none, one is there twice, or they are of several tasks.
        ArtifactError: a report cannot be read or is about another artifact.
    """
    if not artifacts:
        raise UsageError("nothing to report; name one artifact or more")
    tasks = sorted({artifact.task for artifact in artifacts})
    if len(tasks) > 1:
        raise UsageError(f"artifacts for {' and '.join(tasks)} cannot be compared; choose those of one task")
    seen: dict[str, Artifact] = {}
    for artifact in artifacts:
        if artifact.digest in seen:
            raise UsageError(
                f"{artifact.path}: is the same artifact as {seen[artifact.digest].path}; name it once"
            )
        seen[artifact.digest] = artifact
    names = Counter(artifact.path.resolve().name for artifact in artifacts)
    return [_read_one(artifact, names) for artifact in artifacts]


def _read_one(artifact: Artifact, names: Counter[str]) -> Carried:
    name = artifact.path.resolve().name
    search = _one(artifact, "search.json", SearchReport)
    if search is not None and search.artifact not in (artifact.manifest.parent, artifact.digest):
        raise _foreign(artifact.report_path("search.json"), search.artifact, artifact.manifest.parent or "-")
    bench = _one(artifact, "bench.json", BenchReport)
    if bench is not None and artifact.digest not in {result.artifact for result in bench.results}:
        raise _foreign(artifact.report_path("bench.json"), bench.results[0].artifact, artifact.digest)
    evaluations = {}
    for path in sorted((artifact.path / REPORTS).glob("evaluation*.json")):
        evaluation = _about(artifact, path.name, Evaluation)
        assert evaluation is not None
        if evaluation.by_task:  # scores that are compared are all of one metric, the task's
            evaluations[path.name] = evaluation
    return Carried(
        artifact=artifact,
        name=name if names[name] == 1 else f"{name} ({short(artifact.digest)})",
        evaluations=evaluations,
        inspection=_about(artifact, "inspection.json", Inspection),
        gate=_about(artifact, "gate.json", GateReport),
        bench=bench,
        search=search,
        sensitivity=_about(artifact, "sensitivity.json", Sensitivity),
        tuned=_one(artifact, RUNTIME_REPORT, RuntimeProfile),
    )


def _one(artifact: Artifact, name: str, kind: type[_ReportT]) -> _ReportT | None:
    """Read a report, None when the artifact does not carry it."""
    path = artifact.report_path(name)
    return kind.read(path) if path.is_file() else None


def _about(artifact: Artifact, name: str, kind: type[_ReportT]) -> _ReportT | None:
    """Read a report that must be about this artifact."""
    found = _one(artifact, name, kind)
    about = getattr(found, "artifact", artifact.digest)
    if about != artifact.digest:
        raise _foreign(artifact.report_path(name), about, artifact.digest)
    return found


def _foreign(path: Path, about: str, expected: str) -> ArtifactError:
    return ArtifactError(
        f"{path}: is about artifact {short(about)} and not about {short(expected)}; remove it, or make it again"
    )
