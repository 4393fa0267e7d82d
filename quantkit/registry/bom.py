"""What a release is made of: a CycloneDX 1.6 bill of materials for machine learning (ML-BOM).

Written by hand, because `cyclonedx-python-lib` has no class for a model card; the tests validate it with that
library's schema. It has no time in it, and its serial number is made of the release, so that the same artifact
under the same name gives the same bytes.
"""

import uuid
from typing import Any

from quantkit.artifact.manifest import Manifest
from quantkit.records import GateReport
from quantkit.registry.provenance import calibration_of, tools_of
from quantkit.registry.reference import Reference

BOM = "bom.cdx.json"


def bill_of_materials(manifest: Manifest, reference: Reference, gate: GateReport) -> dict[str, Any]:
    """Return the bill: the model with its card, its files, the data it was calibrated on, the tools that made it."""
    model = f"model:{reference}"
    tools = tools_of(manifest.stages)
    files = [
        {
            "type": "file",
            "bom-ref": f"file:{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": record.sha256}],
        }
        for name, record in manifest.files.items()
    ]
    data: list[dict[str, Any]] = [
        {"type": "data", "bom-ref": f"data:{role}", "name": name, "properties": [_property("digest", digest)]}
        for role, name, digest in _datasets(manifest, gate)
    ]
    libraries = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
            "scope": "excluded",
        }
        for name, version in tools.items()
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'quantkit:{reference}:{manifest.digest}')}",
        "version": 1,
        "metadata": {
            "tools": {
                "components": [
                    {
                        "type": "application",
                        "name": "quantkit",
                        **({"version": tools["quantkit"]} if "quantkit" in tools else {}),
                    }
                ]
            },
            "component": {
                "type": "machine-learning-model",
                "bom-ref": model,
                "name": reference.name,
                "version": reference.version,
                "modelCard": _card(manifest, gate, [entry["bom-ref"] for entry in data]),
                "properties": [
                    _property("artifact", manifest.digest),
                    _property("precision", manifest.precision),
                    *((_property("parent", manifest.parent),) if manifest.parent else ()),
                ],
            },
        },
        "components": [*files, *data, *libraries],
        "dependencies": [{"ref": model, "dependsOn": [entry["bom-ref"] for entry in (*files, *data)]}],
    }


def _card(manifest: Manifest, gate: GateReport, data: list[str]) -> dict[str, Any]:
    measured = {
        gate.metric: gate.candidate_f1,
        f"{gate.metric} of the baseline": gate.baseline_f1,
        f"{gate.metric} ratio to the baseline": gate.ratio,
    }
    return {
        "modelParameters": {
            "task": manifest.task,
            "architectureFamily": "transformer",
            "modelArchitecture": manifest.architecture,
            "datasets": [{"ref": ref} for ref in data],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {"type": name, "value": repr(value), "slice": gate.dataset_name}
                for name, value in measured.items()
            ]
        },
    }


def _datasets(manifest: Manifest, gate: GateReport) -> list[tuple[str, str, str]]:
    """Return (role, name, digest) of the data that the model was calibrated on and judged by."""
    found = [("evaluation", gate.dataset_name, gate.dataset)]
    calibration = calibration_of(manifest)
    if calibration:
        found.append(("calibration", str(calibration.get("set", "calibration")), str(calibration["dataset"])))
    return found


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"quantkit:{name}", "value": value}
