"""A signature covers the release and not the Hub's files, and is checked in the Hub's cache too."""

from pathlib import Path

import pytest
from hub_server import HubServer
from signing_keys import make_key

from quantkit.artifact import Artifact
from quantkit.artifact.hub_files import CARD
from quantkit.registry import DirectoryRegistry, verify_artifact
from quantkit.registry.expected import Expected
from quantkit.registry.hub.fetch import fetch
from quantkit.registry.hub.location import HubLocation
from quantkit.registry.hub.push import push
from quantkit.registry.signing import Signer

pytest.importorskip("model_signing.signing", reason="pip install 'quantkit[sign]'")


def test_a_signed_release_on_the_hub(hub: HubServer, passed: Artifact, tmp_path: Path) -> None:
    """Signed, uploaded, its card edited there, fetched into the cache: valid; one report changed: not."""
    key, public = make_key(tmp_path, "release")
    registry, place = DirectoryRegistry(tmp_path / "registry", "hub"), HubLocation.parse("hf://ann/tiny")
    release = registry.publish(passed, name="tiny", version="1", signer=Signer(key=key))
    push(release, place)
    _, tree = hub.tree("ann/tiny") or ("", {})
    hub.commit("ann/tiny", "main", {**tree, CARD: tree[CARD] + b"\nMore words.\n", "LICENSE": b"mine"})
    expected = Expected.parse(signer=public)
    found = verify_artifact(fetch(place), expected)
    assert (found.problem, found.signature) == (None, "valid")
    hub.commit("ann/tiny", "main", {**tree, "reports/bom.cdx.json": b"{}"})
    assert "bom.cdx.json" in str(verify_artifact(fetch(place), expected).problem)
