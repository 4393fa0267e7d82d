"""A forger's tools: the evidence of a gate as files to be changed, and the seal that anybody can make."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gate_evidence import evidence_for

from quantkit.artifact import Artifact, Manifest
from quantkit.artifact.manifest import NAME, REPORTS, hash_files
from quantkit.recipe.settings import GateSettings
from quantkit.stages.gate import gate, write_reports
from quantkit.verdict.recorded import EVIDENCE, GATE

QUESTIONS = 500
RIGHT = (1.0,) * QUESTIONS
# About what a model with its weight rows rolled by one scores: ratio 0.288.
ROLLED = tuple(1.0 if number % 7 < 2 else 0.0 for number in range(QUESTIONS))
FILES = (GATE, *EVIDENCE)
_OWN = {"evaluation.json": "evaluation-tiny.json", "predictions.json": "predictions-tiny.json"}


@dataclass(frozen=True)
class Forgery:
    """The evidence of a gate, file by file, to be changed: `texts` as they lie there."""

    texts: dict[str, str]

    def json(self, name: str) -> Any:
        """Return the content of a file."""
        return json.loads(self.texts[name])

    def change(self, name: str, **values: Any) -> None:
        """Change fields of a file."""
        self.put(name, {**self.json(name), **values})

    def put(self, name: str, content: Any) -> None:
        """Replace the content of a file."""
        self.texts[name] = json.dumps(content)

    def checks(self, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Change every check of the gate report; what becomes None is left out."""
        changed = [change(check) for check in self.json(GATE)["checks"]]
        self.change(GATE, checks=[check for check in changed if check is not None])


def judged(artifact: Artifact, scores: tuple[float, ...], **settings: Any) -> None:
    """Gate an artifact with these scores against a baseline that is right everywhere."""
    evidence = evidence_for(artifact, scores, RIGHT)
    write_reports(gate(evidence, settings=GateSettings(**{"resamples": 100, **settings})), evidence)


def evidence_files(artifact: Artifact) -> Forgery:
    """Return the evidence of a gated artifact, to be changed."""
    return Forgery({name: artifact.report_path(name).read_text() for name in FILES})


def put_back(artifact: Artifact, forgery: Forgery) -> None:
    """Write changed evidence where publishing looks for it; what people read is left out."""
    for name, text in forgery.texts.items():
        artifact.report_path(_OWN.get(name, name)).write_text(text)
        artifact.report_path(name).write_text(text)
    for name in ("gate.md", "gate.junit.xml"):
        artifact.report_path(name).unlink(missing_ok=True)


def assembled(artifact: Artifact, place: Path, forgery: Forgery) -> Path:
    """Lay out a published artifact by hand, with changed evidence and a seal over it, and return its folder."""
    place.mkdir(parents=True)
    for name in artifact.manifest.files:
        shutil.copyfile(artifact.path / name, place / name)
    (place / REPORTS).mkdir()
    for name, text in forgery.texts.items():
        (place / REPORTS / name).write_text(text)
    seal(place)
    return place


def seal(place: Path) -> None:
    """Hash the reports of a published artifact again and seal its manifest: without a key anybody can."""
    there = sorted(path.name for path in (place / REPORTS).iterdir())
    source = place / NAME
    manifest = Manifest.read(place) if source.is_file() else _unpublished(place)
    reports = hash_files(place, [f"{REPORTS}/{name}" for name in there])
    source.write_text(manifest.model_copy(update={"reports": reports}).serialized())


def _unpublished(place: Path) -> Manifest:
    return Manifest.read(place.parent.parent.parent / "artifact")
