"""What a confined process can be asked for: the stages' work on artifacts that nobody trusts, as JSON in and out."""

from pathlib import Path
from typing import Any

from quantkit.artifact import Artifact, Manifest
from quantkit.recipe.settings import EvaluateSettings
from quantkit.runtime.confined import Job
from quantkit.runtime.hold import require_listed
from quantkit.stages import inspect as inspecting
from quantkit.stages import lineage as tracing
from quantkit.stages.evaluate import answer


def _evaluate(given: dict[str, Any]) -> Any:
    data_dir = given["data_dir"]
    return answer(
        _held(given["artifact"]),
        settings=EvaluateSettings.model_validate(given["settings"]),
        data_dir=None if data_dir is None else Path(data_dir),
    )


def _inspect(given: dict[str, Any]) -> Any:
    return inspecting.inspect(_held(given["artifact"])).as_json()


def _lineage(given: dict[str, Any]) -> Any:
    return tracing.lineage(_held(given["artifact"]), _held(given["baseline"])).as_json()


def described(held: Artifact) -> dict[str, Any]:
    """Return JSON of an artifact that is held, for `_held` to make it again."""
    return {
        "path": str(held.path),
        "origin": None if held.origin is None else str(held.origin),
        "manifest": held.manifest.model_dump(mode="json", by_alias=True),
    }


def _held(given: dict[str, Any]) -> Artifact:
    """Return the private copy that the parent holds, after a look at where its weights are.

    Raises:
        ArtifactError: the model keeps weights in files that it does not list.
    """
    held = Artifact(
        path=Path(given["path"]),
        manifest=Manifest.model_validate(given["manifest"]),
        origin=Path(given["origin"]),
    )
    require_listed(held)
    return held


JOBS: dict[str, Job] = {"evaluate": _evaluate, "inspect": _inspect, "lineage": _lineage}
