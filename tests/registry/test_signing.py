"""Signatures: over every file, by this key, for this release."""

import base64
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from oci_server import RegistryServer
from signing_keys import make_chain, make_key

from quantkit.artifact import Artifact
from quantkit.errors import RegistryError, UsageError
from quantkit.registry import DirectoryRegistry, verify_artifact
from quantkit.registry.expected import Expected
from quantkit.registry.oci.registry import OciRegistry
from quantkit.registry.signing import Signer, require_signature
from quantkit.registry.signing import _hashing as hashing

pytest.importorskip("model_signing.signing", reason="pip install 'quantkit[sign]'")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_key(tmp_path, "release")


@pytest.fixture
def signed(tmp_path: Path, passed: Artifact, keys: tuple[Path, Path]) -> Path:
    registry = DirectoryRegistry(tmp_path / "registry")
    return registry.publish(passed, name="tiny", version="1", signer=Signer(key=keys[0]))


def test_a_signed_release_verifies_with_the_key(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """Published, pulled, and copied by hand; without the key it is said that the signature was not checked."""
    expected = Expected.parse(signer=keys[1])
    registry = DirectoryRegistry(tmp_path / "registry")
    assert (
        registry.verify("tiny:1", expected).signature,
        registry.verify("tiny:1").verified,
    ) == ("valid", True)
    registry.pull("tiny:1", tmp_path / "out", expected=expected)
    assert verify_artifact(tmp_path / "out", expected).signature == "valid"
    assert verify_artifact(tmp_path / "out").signature == "not checked"


def test_over_oci_too(
    memory_registry: RegistryServer, passed: Artifact, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """The signature travels as a layer."""
    registry = OciRegistry.at(f"oci://{memory_registry.host}/team")
    registry.publish(passed, name="tiny", version="1", signer=Signer(key=keys[0]))
    expected = Expected.parse(signer=keys[1])
    assert registry.verify("tiny:1", expected).signature == "valid"
    registry.pull("tiny:1", tmp_path / "out", expected=expected)
    assert [release.signed for release in registry.releases("tiny")] == [True]


def test_the_library_itself_verifies_it(signed: Path, keys: tuple[Path, Path]) -> None:
    """Whoever has model-signing and no quantkit can check the signature, and its subject is the release."""
    arguments = ["verify", "key", "--public_key", keys[1], "--signature", signed / "model.sig", signed]
    ran = subprocess.run(
        [sys.executable, "-m", "model_signing", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    payload = json.loads((signed / "model.sig").read_text())["dsseEnvelope"]["payload"]
    assert json.loads(base64.b64decode(payload))["subject"][0]["name"] == "tiny-1"


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


TAMPERING: dict[str, Callable[[Path], object]] = {
    "weights": lambda folder: change(folder / "model.onnx"),
    "manifest": lambda folder: change(folder / "manifest.json"),
    "evidence": lambda folder: change(folder / "reports" / "gate.json"),
    "release": lambda folder: change(folder / "reports" / "release.json"),
    "a file more": lambda folder: (folder / "new.txt").write_text("x"),
    "a report more": lambda folder: (folder / "reports" / "new.txt").write_text("x"),
    "a git file more": lambda folder: (folder / ".gitignore").write_text("x"),
    "a git folder more": lambda folder: [(folder / ".git").mkdir(), (folder / ".git" / "x").write_text("x")],
    "a file less": lambda folder: (folder / "config.json").unlink(),
    "a link": lambda folder: (folder / "reports" / "link").symlink_to("/etc/hostname"),
    "no signature": lambda folder: (folder / "model.sig").unlink(),
    "an empty signature": lambda folder: (folder / "model.sig").write_text(""),
    "a deep signature": lambda folder: (folder / "model.sig").write_text("[" * 100_000),
    "a changed signature": lambda folder: change(folder / "model.sig"),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_nothing_can_change(signed: Path, keys: tuple[Path, Path], name: str) -> None:
    """Every file is covered, also those that model-signing leaves out by default; the answer is one line."""
    TAMPERING[name](signed)
    with pytest.raises(RegistryError) as refused:
        require_signature(signed, keys[1])
    assert len(str(refused.value).splitlines()) == 1


def test_another_key_is_refused(signed: Path, tmp_path: Path) -> None:
    """A good signature of somebody else is none."""
    with pytest.raises(RegistryError, match="its signature is not one of"):
        require_signature(signed, make_key(tmp_path, "other")[1])


def test_a_signature_that_leaves_files_out_is_refused(signed: Path, keys: tuple[Path, Path]) -> None:
    """Signed by the right key with the library's defaults, which ignore `.git*`: verified by the library, not by us."""
    signing = importlib.import_module("model_signing.signing")
    (signed / "model.sig").unlink()
    lenient = hashing().set_ignored_paths(paths=["model.sig", "config.json"], ignore_git_paths=False)
    config = signing.Config().use_elliptic_key_signer(private_key=keys[0]).set_hashing_config(lenient)
    config.sign(signed, signed / "model.sig")
    with pytest.raises(RegistryError, match="leaves files out"):
        require_signature(signed, keys[1])


def test_a_signed_release_is_not_taken_for_another(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """The signature is good; the version is the older one. Name and version are signed, so it is found."""
    shutil.copytree(signed, signed.with_name("2"))
    registry = DirectoryRegistry(tmp_path / "registry")
    found = registry.verify("tiny:2", Expected.parse(signer=keys[1]))
    assert "is the release tiny:1, not tiny:2" in str(found.problem)


@pytest.mark.parametrize(
    "content", ["", "no key", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_key_is_a_mistake(signed: Path, passed: Artifact, tmp_path: Path, content: str) -> None:
    """The line names the file and says what kind of key is meant."""
    path = tmp_path / "no.pem"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"no\.pem: cannot sign .*EC private key"):
        Signer(key=path).check()
    with pytest.raises(UsageError, match=r"no\.pem: cannot verify .*public EC key"):
        require_signature(signed, path)
    with pytest.raises(UsageError, match="no such file"):
        Signer(key=tmp_path / "nowhere").check()


def test_an_rsa_key_is_a_mistake(signed: Path, tmp_path: Path) -> None:
    """The format knows EC keys alone."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path / "rsa.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(UsageError, match="cannot sign"):
        Signer(key=path).check()


def test_an_encrypted_key_wants_its_password(
    passed: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes from the environment, never from the command line."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    path = tmp_path / "key.pem"
    path.write_bytes(
        ec.generate_private_key(ec.SECP384R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    with pytest.raises(UsageError, match="QUANTKIT_SIGN_PASSWORD"):
        Signer(key=path).check()
    monkeypatch.setenv("QUANTKIT_SIGN_PASSWORD", "word")
    Signer(key=path).check()


def test_a_certificate_leads_to_its_root(passed: Artifact, tmp_path: Path) -> None:
    """Signed with a key and its certificate, required by the root; another root is refused."""
    roots = [make_chain(tmp_path, name) for name in ("one", "two")]
    key, certificate, root = roots[0]
    registry = DirectoryRegistry(tmp_path / "registry")
    registry.publish(passed, name="tiny", version="1", signer=Signer(key=key, certificate=certificate))
    assert registry.verify("tiny:1", Expected.parse(signer=root)).signature == "valid"
    assert not registry.verify("tiny:1", Expected.parse(signer=roots[1][2])).verified


def test_without_the_extra_the_line_says_what_to_install(
    passed: Artifact, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A light install publishes and verifies; only keys need more."""
    monkeypatch.setitem(sys.modules, "model_signing.signing", None)
    monkeypatch.setitem(sys.modules, "model_signing.verifying", None)
    with pytest.raises(UsageError, match=r"pip install 'quantkit\[sign\]'"):
        Signer(key=keys[0]).check()
    with pytest.raises(UsageError, match=r"pip install 'quantkit\[sign\]'"):
        require_signature(passed.path, keys[1])
