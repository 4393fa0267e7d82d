"""A published folder as an OCI manifest in the form of CNCF's ModelPack, and back.

Every file is one raw layer, so that its digest is the file's own, equal files are stored once, and `oras`, KitOps
and skopeo can pull it. `org.cncf.model.filepath` names the file, and `org.opencontainers.image.title` too, which is
what `oras pull` reads. The signature is a layer like the others and no referrer: registries without the referrers
API, which are many, then keep it all the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from quantkit.artifact import Artifact
from quantkit.artifact.artifact import EXTERNAL_DATA, MODEL
from quantkit.artifact.manifest import NAME as MANIFEST
from quantkit.artifact.manifest import REPORTS, SIGNATURE
from quantkit.errors import RegistryError
from quantkit.files import canonical_json, sha256_file
from quantkit.registry.oci.client import MANIFEST_TYPE, Blob
from quantkit.registry.reference import Reference
from quantkit.registry.signing import is_signed
from quantkit.strict_json import parse_json

ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_CONFIG_TYPE = "application/vnd.cncf.model.weight.config.v1.raw"
DOC_TYPE = "application/vnd.cncf.model.doc.v1.raw"
FILE_PATH = "org.cncf.model.filepath"
TITLE = "org.opencontainers.image.title"
CREATED = "org.opencontainers.image.created"
VERSION = "org.opencontainers.image.version"
ARTIFACT_DIGEST = "dev.quantkit.artifact"
_LAYERS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One file of a published folder."""

    name: str
    blob: Blob


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """An OCI manifest, read.

    Attributes:
        digest: of the manifest itself.
        layers: the files, the manifest's order.
        annotations: as they stand there; nobody has checked them.
    """

    digest: str
    layers: tuple[Layer, ...]
    annotations: Mapping[str, str]

    @property
    def artifact(self) -> str:
        """The digest of the artifact, as the annotation says it; empty where it says none."""
        said = self.annotations.get(ARTIFACT_DIGEST, "")
        return said if re.fullmatch("[0-9a-f]{64}", said) else ""

    @property
    def signed(self) -> bool:
        """Whether there is a signature."""
        return any(layer.name == SIGNATURE for layer in self.layers)

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(layer.blob.size for layer in self.layers)

    def file(self, name: str) -> Blob | None:
        """Return the blob of a file, or None."""
        return next((layer.blob for layer in self.layers if layer.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A published folder, ready to be pushed: what the manifest and its configuration are, and the files."""

    manifest: bytes
    config: bytes
    layers: tuple[tuple[Blob, Path], ...]


class _Descriptor(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    size: int = Field(ge=0, strict=True)
    annotations: dict[str, str] = {}


class _ImageManifest(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    artifact_type: str = Field(default="", alias="artifactType")
    layers: list[_Descriptor] = Field(max_length=_LAYERS)
    annotations: dict[str, str] = {}


def pack(folder: Path, reference: Reference, created: str) -> Packed:
    """Return a published folder as an OCI manifest.

    Args:
        folder: whole and sealed.
        reference: what it is published as.
        created: the time of publication, RFC 3339. It is in the OCI manifest alone, in no digest of quantkit's.
    """
    artifact = Artifact.open(folder)
    names = [*artifact.manifest.files, MANIFEST, *artifact.manifest.reports]
    names += [SIGNATURE] if is_signed(folder) else []
    layers = [_layer(folder, name) for name in names]
    config = canonical_json(_config(artifact, reference, [blob.digest for _, blob, _ in layers]))
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": descriptor(Blob.of(config), CONFIG_TYPE),
        "layers": [
            {**descriptor(blob, _media_type(name)), "annotations": {FILE_PATH: name, TITLE: name}}
            for name, blob, _ in layers
        ],
        "annotations": {
            ARTIFACT_DIGEST: artifact.digest,
            CREATED: created,
            VERSION: reference.version,
            TITLE: reference.name,
        },
    }
    return Packed(
        manifest=canonical_json(content),
        config=config,
        layers=tuple((blob, path) for _, blob, path in layers),
    )


def unpack(content: bytes, place: str) -> Layout:
    """Read an OCI manifest.

    Args:
        content: its bytes.
        place: what messages name.

    Raises:
        RegistryError: it is none, or not of an artifact of quantkit's.
    """
    try:
        manifest = _ImageManifest.model_validate(parse_json(content))
    except ValueError:
        raise RegistryError(f"{place}: is no OCI manifest with layers; do not use it") from None
    layers = tuple(
        Layer(name=entry.annotations.get(FILE_PATH, ""), blob=Blob(digest=entry.digest, size=entry.size))
        for entry in manifest.layers
    )
    names = [layer.name for layer in layers]
    if manifest.artifact_type != ARTIFACT_TYPE or MANIFEST not in names:
        raise RegistryError(f"{place}: is no artifact of quantkit's; name one that `quantkit publish` made")
    if len(names) != len(set(names)) or not all(map(_is_plain, names)):
        raise RegistryError(f"{place}: names a file twice, or one outside its folder; do not use it")
    return Layout(digest=Blob.of(content).digest, layers=layers, annotations=manifest.annotations)


def descriptor(blob: Blob, media_type: str) -> dict[str, Any]:
    """Return an OCI descriptor."""
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _is_plain(name: str) -> bool:
    """Return whether a name is a relative path without `.`, `..` or what only some systems take for a separator."""
    return bool(name) and not re.search(r"[\\\0:]", name) and not {"", ".", ".."} & set(name.split("/"))


def _layer(folder: Path, name: str) -> tuple[str, Blob, Path]:
    path = folder / name
    return name, Blob(digest=f"sha256:{sha256_file(path)}", size=path.stat().st_size), path


def _media_type(name: str) -> str:
    if name in (MODEL, EXTERNAL_DATA):
        return WEIGHT_TYPE
    return DOC_TYPE if name.startswith(f"{REPORTS}/") or name in (MANIFEST, SIGNATURE) else WEIGHT_CONFIG_TYPE


def _config(artifact: Artifact, reference: Reference, digests: list[str]) -> dict[str, Any]:
    """Return ModelPack's configuration; it has no time in it."""
    manifest = artifact.manifest
    quantize = manifest.stage("quantize")
    how = str(quantize.settings.get("mode", "")) if quantize is not None else ""
    return {
        "descriptor": {
            "name": reference.name,
            "version": reference.version,
            "family": manifest.architecture,
        },
        "config": {
            "architecture": "transformer",
            "format": "onnx",
            "precision": manifest.precision,
            **({"quantization": how} if how else {}),
        },
        "modelfs": {"type": "layers", "diffIds": digests},
    }
