"""The OCI manifest: ModelPack's form outwards, and nothing believed inwards."""

import json
from pathlib import Path
from typing import Any

import pytest

from quantkit.artifact import Artifact
from quantkit.errors import RegistryError
from quantkit.registry import DirectoryRegistry, Reference
from quantkit.registry.oci.layout import pack, unpack

REFERENCE = Reference(name="tiny", version="1")
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def folder(tmp_path: Path, passed: Artifact) -> Path:
    return DirectoryRegistry(tmp_path / "registry").publish(passed, name="tiny", version="1")


def test_it_is_a_model_of_modelpack(folder: Path, passed: Artifact) -> None:
    """Types and annotations are those of model-spec; every layer is one file with its own digest."""
    packed = pack(folder, REFERENCE, "2026-01-01T00:00:00Z")
    manifest, config = json.loads(packed.manifest), json.loads(packed.config)
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    types = {
        layer["annotations"]["org.cncf.model.filepath"]: layer["mediaType"] for layer in manifest["layers"]
    }
    assert {
        "model.onnx": "application/vnd.cncf.model.weight.v1.raw",
        "config.json": "application/vnd.cncf.model.weight.config.v1.raw",
        "manifest.json": "application/vnd.cncf.model.doc.v1.raw",
        "reports/gate.json": "application/vnd.cncf.model.doc.v1.raw",
    }.items() <= types.items()
    assert {"format": "onnx", "precision": "int8"}.items() <= config["config"].items()
    assert config["descriptor"] == {"name": "tiny", "version": "1", "family": "bert"}
    assert config["modelfs"]["diffIds"] == [layer["digest"] for layer in manifest["layers"]]
    model = passed.manifest.files["model.onnx"].sha256
    assert f"sha256:{model}" in config["modelfs"]["diffIds"]


def test_what_is_packed_is_read_back(folder: Path, passed: Artifact) -> None:
    """All files and the artifact's digest, and the only time is the annotation."""
    layout = unpack(pack(folder, REFERENCE, "2026-01-01T00:00:00Z").manifest, "x")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {layer.name for layer in layout.layers} == files
    assert layout.artifact == passed.digest
    first = pack(folder, REFERENCE, "2026-01-01T00:00:00Z")
    later = pack(folder, REFERENCE, "2026-01-02T00:00:00Z")
    assert later.config == first.config
    assert first.manifest == later.manifest.replace(b"2026-01-02", b"2026-01-01")


def hostile(**changes: Any) -> bytes:
    layer = {
        "digest": DIGEST,
        "size": 1,
        "annotations": {"org.cncf.model.filepath": "manifest.json"},
    }
    content = {"artifactType": "application/vnd.cncf.model.manifest.v1+json", "layers": [layer]}
    return json.dumps({**content, **changes}).encode()


def named(name: str, **changes: Any) -> dict[str, Any]:
    return {"digest": DIGEST, "size": 1, "annotations": {"org.cncf.model.filepath": name}, **changes}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        pytest.param(b"[" * 100_000, id="deep"),
        b"\xff",
        hostile(artifactType="application/vnd.oci.image"),
        hostile(layers=[]),
        hostile(layers=[named("manifest.json")] * 2),
        hostile(layers=[named("manifest.json", size=-1)]),
        hostile(layers=[named("manifest.json", size=1.5)]),
        hostile(layers=[named("manifest.json", size="1")]),
        hostile(layers=[named("manifest.json", digest="sha512:00")]),
        hostile(layers=[named("manifest.json", digest="sha256:../../x")]),
        hostile(layers=[named("manifest.json", annotations=None)]),
        *(
            hostile(layers=[named("manifest.json"), named(name)])
            for name in (
                "",
                ".",
                "..",
                "../x",
                "/etc/x",
                "a/../../x",
                "a//x",
                "a\\x",
                "c:x",
                "a/./x",
                "x/",
                "a\0",
            )
        ),
        pytest.param(
            hostile(layers=[named("manifest.json"), *(named(str(number)) for number in range(1000))]),
            id="many",
        ),
    ],
)
def test_hostile_manifests_are_refused(content: bytes) -> None:
    """In one line, whatever the registry gives."""
    with pytest.raises(RegistryError) as refused:
        unpack(content, "oci://host/tiny:1")
    assert len(str(refused.value).splitlines()) == 1


def test_the_plain_one_is_read() -> None:
    """The manifests above are refused for what is wrong with each, not for their form."""
    assert [layer.name for layer in unpack(hostile(), "x").layers] == ["manifest.json"]
