"""The folder that is published: the artifact, the evidence, and what says which release it is.

Both registries publish the same folder, made here. It differs from the artifact that was gated by three reports
that are written now, from facts of the manifest alone, so that the same artifact gives the same bytes:

* `reports/release.json` binds name and version to the artifact's digest;
* `reports/provenance.intoto.json` and `reports/bom.cdx.json`, see `quantkit.registry.provenance` and `bom`.

The manifest hashes and seals them with the other reports, and a signature covers the manifest.
"""

import os
import shutil
from pathlib import Path
from typing import Literal

from pydantic import Field

from quantkit.artifact import Artifact, Manifest
from quantkit.artifact.manifest import NAME as MANIFEST
from quantkit.artifact.manifest import REPORTS, hash_files
from quantkit.errors import ArtifactError, RegistryError
from quantkit.files import inside, pretty_json, write_text
from quantkit.records.record import Report
from quantkit.registry.admission import Admission
from quantkit.registry.bom import BOM, bill_of_materials
from quantkit.registry.evidence import ADMISSION, Evidence, report_sources
from quantkit.registry.provenance import PROVENANCE, provenance
from quantkit.registry.reference import Reference

RELEASE = "release.json"


class Release(Report):
    """`reports/release.json`: the name and version under which exactly these bytes were published."""

    format: Literal["quantkit/release/1"] = Field(default="quantkit/release/1", alias="schema")
    name: str
    version: str
    artifact: str = Field(description="digest of the artifact", pattern="^[0-9a-f]{64}$")

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


def assemble(
    artifact: Artifact, folder: Path, reference: Reference, evidence: Evidence, admission: Admission
) -> None:
    """Copy an artifact and the reports that are published; the new manifest hashes the reports too.

    Args:
        artifact: whose evidence was judged again.
        folder: where it is made.
        reference: name and version of the release.
        evidence: of the artifact.
        admission: by which policy it is let in.

    Raises:
        ArtifactError: a file is missing.
    """
    for name in artifact.manifest.files:
        copy_file(artifact.path, folder, name)
    gate = evidence.gate
    sources = report_sources(artifact, gate)
    reports = [name for name, source in sources.items() if artifact.report_path(source).is_file()]
    for name in reports:
        copy_file(artifact.path, folder, f"{REPORTS}/{name}", taken_from=f"{REPORTS}/{sources[name]}")
    written = {
        ADMISSION: admission.as_json(),
        RELEASE: Release(name=reference.name, version=reference.version, artifact=artifact.digest).as_json(),
        PROVENANCE: provenance(artifact.manifest, reference),
        BOM: bill_of_materials(artifact.manifest, reference, gate),
    }
    for name, content in written.items():
        write_text(folder / REPORTS / name, pretty_json(content))
    hashed = hash_files(folder, [f"{REPORTS}/{name}" for name in sorted((*reports, *written))])
    manifest = artifact.manifest.model_copy(update={"reports": hashed})
    write_text(folder / MANIFEST, manifest.serialized())


def release_of(folder: Path, manifest: Manifest) -> Release | None:
    """Return which release a published folder says it is; None where it was published before releases were named.

    Raises:
        ArtifactError: the report is not one.
        RegistryError: it is of another artifact.
    """
    name = f"{REPORTS}/{RELEASE}"
    if name not in manifest.reports:
        return None
    release = Release.read(inside(folder, name))
    if release.artifact != manifest.digest:
        raise RegistryError(
            f"{folder / name}: is about the artifact {release.artifact[:12]}, not about "
            f"{manifest.digest[:12]}; pull or publish the artifact again"
        )
    return release


def copy_file(source: Path, folder: Path, name: str, *, taken_from: str | None = None) -> None:
    """Copy one file of an artifact into another folder and flush it to disk.

    Raises:
        ArtifactError: it is missing, or a name leaves its folder.
    """
    origin, target = inside(source, taken_from or name), inside(folder, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Neither does a pipe wait for a writer, nor is a folder copied.
    if not origin.is_file():
        raise ArtifactError(f"{origin}: is missing; the artifact is not whole, make or pull it again")
    shutil.copyfile(origin, target)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())
