"""Where a release comes from: an in-toto statement with SLSA's provenance predicate, v1.

It is written from the manifest alone and has no time in it, so the same artifact under the same name gives the
same bytes. The JSON is plain enough to be written by hand; the tests read it with `in-toto-attestation`. What it
says is what the manifest says, in words that supply-chain tools know: it proves nothing that a signature over the
folder does not.
"""

from typing import Any

from quantkit.artifact.manifest import Manifest, StageRecord
from quantkit.registry.reference import Reference

PROVENANCE = "provenance.intoto.json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:quantkit:stages:1"
# Digests of canonical JSON, as docs/artifact.md defines them; they are not the sha256 of any one file.
ARTIFACT_DIGEST = "quantkitArtifact"


def provenance(manifest: Manifest, reference: Reference) -> dict[str, Any]:
    """Return the statement: subjects are the artifact's files, parameters the settings of its stages."""
    last = manifest.stages[-1] if manifest.stages else None
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": name, "digest": {"sha256": record.sha256}} for name, record in manifest.files.items()
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "release": str(reference),
                    "task": manifest.task,
                    "stages": [
                        {"stage": record.stage, "settings": record.settings} for record in manifest.stages
                    ],
                },
                "internalParameters": {record.stage: record.cpu for record in manifest.stages if record.cpu},
                "resolvedDependencies": _dependencies(manifest),
            },
            "runDetails": {
                "builder": {
                    "id": f"urn:quantkit:builder:{last.tools.get('quantkit', 'unknown') if last else 'unknown'}"
                },
                "metadata": {"invocationId": last.key if last and last.key else manifest.digest},
            },
        },
    }


def _dependencies(manifest: Manifest) -> list[dict[str, Any]]:
    """Return what went in: the checkpoint, the parent artifact, the calibration data, the tools."""
    found: list[dict[str, Any]] = []
    export = manifest.stage("export")
    if export is not None and export.facts.get("checkpoint_digest"):
        found.append(
            {
                "name": f"checkpoint {export.facts.get('checkpoint', '')}".strip(),
                "digest": {"quantkitCheckpoint": str(export.facts["checkpoint_digest"])},
            }
        )
    if manifest.parent is not None:
        found.append({"name": "parent artifact", "digest": {ARTIFACT_DIGEST: manifest.parent}})
    data = calibration_of(manifest)
    if data:
        found.append(
            {
                "name": f"calibration set {data.get('set', '')}".strip(),
                "digest": {"quantkitDataset": str(data["dataset"])},
            }
        )
    tools = tools_of(manifest.stages)
    found.extend({"uri": f"pkg:pypi/{name}@{version}"} for name, version in tools.items())
    return found


def calibration_of(manifest: Manifest) -> dict[str, Any]:
    """Return what the quantize stage says about its calibration data; nothing where it used none."""
    record = manifest.stage("quantize")
    data = record.facts.get("calibration") if record is not None else None
    return data if isinstance(data, dict) and data.get("dataset") else {}


def tools_of(stages: tuple[StageRecord, ...]) -> dict[str, str]:
    """Return package → version of all stages, the last stage's where they differ; Python itself is no package."""
    tools = {name: version for record in stages for name, version in record.tools.items()}
    tools.pop("python", None)
    return dict(sorted(tools.items()))
