"""Signers of a policy: publish, promote, verify and pull go by the key, in a folder and over OCI."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from oci_server import RegistryServer
from signing_keys import make_chain, make_key

from quantkit.artifact import Artifact
from quantkit.errors import PublishRefused, QuantkitError, RegistryError, UsageError
from quantkit.recipe.settings import PublishSettings
from quantkit.registry import DirectoryRegistry, RegistryPolicy, open_registry, verify_artifact
from quantkit.registry.channels import promote, rollback
from quantkit.registry.expected import Expected
from quantkit.registry.oci.client import Blob
from quantkit.registry.oci.registry import OciRegistry
from quantkit.registry.protocol import Registry
from quantkit.registry.signing import Signer
from quantkit.stages.publish import publish

pytest.importorskip("model_signing.signing", reason="pip install 'quantkit[sign]'")

Opened = Callable[[str], Registry]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """Return private keys; `<name>.pub` beside each is its public one."""
    return {name: make_key(tmp_path, name)[0] for name in ("release", "second", "other")}


@pytest.fixture(params=["directory", "oci"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, keys: dict[str, Path]) -> Opened:
    """Return a function that opens one registry under the policy of its text."""
    folder = tmp_path / "registry"
    folder.mkdir()
    server: RegistryServer | None = None
    if request.param == "oci":
        server = request.getfixturevalue("memory_registry")

    def open_with(text: str) -> Registry:
        policy = (folder if server is None else tmp_path) / "policy.yaml"
        policy.write_text(text + "\n")
        if server is None:
            return DirectoryRegistry(folder)
        return OciRegistry.at(f"oci://{server.host}/team", policy=policy)

    return open_with


def listed(keys: dict[str, Path], *names: str) -> str:
    """Return a policy with these signers, by absolute path, so that it can lie anywhere."""
    return f"signers: {json.dumps([str(keys[name].with_suffix('.pub')) for name in names])}"


def test_only_a_listed_key_publishes(opened: Opened, passed: Artifact, keys: dict[str, Path]) -> None:
    """Nobody's and another's are refused (exit code 3), each of the listed ones is let in, and it is recorded."""
    registry = opened(listed(keys, "release", "second"))
    for signer, said in ((None, "signed by nobody"), (Signer(key=keys["other"]), "signed by .*other.pem")):
        with pytest.raises(PublishRefused, match=f"{said}, and signers are key .*, key ") as refused:
            registry.publish(passed, name="tiny", version="1", signer=signer)
        assert refused.value.exit_code == 3
    for version, name in (("1", "release"), ("2", "second")):
        registry.publish(passed, name="tiny", version=version, signer=Signer(key=keys[name]))
        found = registry.verify(f"tiny:{version}")
        assert (found.verified, found.signature) == (True, "valid")


def test_no_reason_passes_over_signers(opened: Opened, passed: Artifact, keys: dict[str, Path]) -> None:
    """A reason passes over floors, and only with a listed key: its admission could be written by anybody."""
    registry = opened(listed(keys, "release") + "\noverride: true\nleast_questions: 501")
    with pytest.raises(PublishRefused, match="signed by nobody"):
        registry.publish(passed, name="tiny", version="1", override="in a hurry")
    registry.publish(
        passed, name="tiny", version="1", signer=Signer(key=keys["release"]), override="all there are"
    )
    assert registry.verify("tiny:1").verified


@pytest.mark.parametrize("signer", [None, "other"])
def test_what_others_put_there_is_refused(
    opened: Opened, passed: Artifact, keys: dict[str, Path], tmp_path: Path, signer: str | None
) -> None:
    """Whoever can write the registry can put a release there; verify, pull, promote and publish look at the key."""
    signing = Signer(key=keys[signer]) if signer else None
    opened("signers: []").publish(passed, name="tiny", version="1", signer=signing)
    registry = opened(listed(keys, "release"))
    said = "none of the signers of policy.yaml" if signer else "is not signed"
    assert said in str(registry.verify("tiny:1").problem)
    with pytest.raises(RegistryError, match=said):
        registry.pull("tiny:1", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RegistryError, match=f"{said}.*production stays where it is"):
        promote(registry, "tiny:1", "production", signer=Signer(key=keys["release"]))
    with pytest.raises(QuantkitError):
        registry.publish(passed, name="tiny", version="1", signer=Signer(key=keys["release"]))


def test_publishing_again_looks_at_the_key(
    memory_registry: RegistryServer, passed: Artifact, keys: dict[str, Path], tmp_path: Path
) -> None:
    """The same bytes are there, with another's signature: that is not done already."""
    place = f"oci://{memory_registry.host}/team"
    OciRegistry.at(place).publish(passed, name="tiny", version="1", signer=Signer(key=keys["other"]))
    policy = tmp_path / "policy.yaml"
    policy.write_text(listed(keys, "release"))
    settings = PublishSettings(registry=place, name="tiny", version="1", policy=str(policy))
    with pytest.raises(RegistryError, match=r"none of the signers of policy\.yaml"):
        publish(passed, settings=settings, signer=Signer(key=keys["release"]))


def test_a_copy_is_held_to_the_signers_that_let_it_in(
    opened: Opened, passed: Artifact, keys: dict[str, Path], tmp_path: Path
) -> None:
    """The policy in the release has the keys themselves; another's signature beside it does not verify."""
    registry = opened(listed(keys, "release"))
    registry.publish(passed, name="tiny", version="1", signer=Signer(key=keys["release"]))
    registry.pull("tiny:1", tmp_path / "out")
    keys["release"].with_suffix(".pub").unlink()
    assert verify_artifact(tmp_path / "out").signature == "valid"
    (tmp_path / "out" / "model.sig").unlink()
    Signer(key=keys["other"]).sign(tmp_path / "out", "tiny-1")
    assert "none of the signers" in str(verify_artifact(tmp_path / "out").problem)
    assert verify_artifact(tmp_path / "out", policy=RegistryPolicy()).verified
    assert verify_artifact(
        tmp_path / "out", Expected.parse(signer=keys["other"].with_suffix(".pub")), policy=RegistryPolicy()
    ).verified


def test_a_certificate_is_listed_by_its_root_and_whom_it_is_for(
    opened: Opened, passed: Artifact, tmp_path: Path
) -> None:
    """Of one authority not everybody may sign; another authority's certificate of the same name may not either."""
    (key, certificate, root), (other, others, other_root) = (
        make_chain(tmp_path, name) for name in ("one", "two")
    )
    signers = [{"pem": str(root), "identity": "one leaf"}]
    registry = opened(f"signers: {json.dumps(signers)}")
    registry.publish(passed, name="tiny", version="1", signer=Signer(key=key, certificate=certificate))
    assert registry.verify("tiny:1").signature == "valid"
    assert "signed by one leaf by certificate" in registry.policy().said()
    with pytest.raises(PublishRefused, match="signed by"):
        registry.publish(passed, name="tiny", version="2", signer=Signer(key=other, certificate=others))
    signers[0]["identity"] = "somebody else"
    assert "is not for somebody else" in str(
        opened(f"signers: {json.dumps(signers)}").verify("tiny:1").problem
    )
    signers[0] = {"pem": str(root)}
    assert opened(f"signers: {json.dumps(signers)}").verify("tiny:1").verified
    signers[0] = {"pem": str(other_root), "identity": "one leaf"}
    assert not opened(f"signers: {json.dumps(signers)}").verify("tiny:1").verified


def test_a_policy_names_files_or_holds_their_text(tmp_path: Path, keys: dict[str, Path]) -> None:
    """Relative to the policy, or PEM in place; what is printed has the PEM, and reads back."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("signers: [release.pub]")
    named = RegistryPolicy.read(policy)
    policy.write_text(named.as_yaml())
    assert RegistryPolicy.read(policy) == named
    policy.write_text(f"signers: [{json.dumps((tmp_path / 'release.pub').read_text())}]")
    assert RegistryPolicy.read(policy) == named
    assert len(named.signers[0].fingerprint) == 64
    assert f"signed by key {named.signers[0].fingerprint[:12]}" in named.said()


@pytest.mark.parametrize(
    ("signers", "said"),
    [
        ("[no.pub]", r"policy.yaml:1: signers\.0: 'no.pub': no such file"),
        ("[release.pem]", r"signers\.0: is a private key; keep it secret, and name the public one"),
        ("[policy.yaml]", r"signers\.0\.pem: holds 0 public keys and certificates in PEM; name one"),
        ("[two.pub]", r"signers\.0\.pem: holds 2 public keys"),
        ("release.pub", r"signers: "),
        ("[{pem: release.pub, identity: me}]", r"signers\.0: an identity belongs to a root certificate"),
        ("[{pem: release.pub, name: me}]", r"signers\.0\.name: unknown key"),
        ("[{}]", r"signers\.0\.pem: is missing"),
        ("[[]]", r"signers\.0: "),
        ('["a\\0b"]', r"signers\.0: 'a\\x00b': "),
    ],
)
def test_a_slip_lets_nothing_in(tmp_path: Path, keys: dict[str, Path], signers: str, said: str) -> None:
    """What is no key is an error with its line, and of a private key not a letter is shown."""
    both = [keys[name].with_suffix(".pub").read_text() for name in ("release", "second")]
    (tmp_path / "two.pub").write_text("".join(both))
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"signers: {signers}")
    with pytest.raises(RegistryError, match=said) as refused:
        RegistryPolicy.read(policy)
    assert len(str(refused.value).splitlines()) == 1
    assert keys["release"].read_text().splitlines()[1] not in str(refused.value)


def test_a_folder_has_its_own_policy(tmp_path: Path) -> None:
    """No publisher holds a folder to another policy than its owner's."""
    with pytest.raises(UsageError, match="is for OCI registries; the folder"):
        open_registry(str(tmp_path), policy=tmp_path / "policy.yaml")


@pytest.fixture
def promoted(opened: Opened, passed: Artifact, keys: dict[str, Path]) -> Registry:
    """Return a registry with signers, two versions and a channel, all signed."""
    registry = opened(listed(keys, "release"))
    for version in ("1", "2"):
        registry.publish(passed, name="tiny", version=version, signer=Signer(key=keys["release"]))
    promote(registry, "tiny:1", "production", signer=Signer(key=keys["release"]))
    return registry


def test_a_channel_is_moved_by_a_listed_key(promoted: Registry, keys: dict[str, Path]) -> None:
    """Forwards and back; without a key, and with another, it stays where it is."""
    for signer in (None, Signer(key=keys["other"])):
        with pytest.raises(RegistryError, match="signe"):
            promote(promoted, "tiny:2", "production", signer=signer)
        with pytest.raises(RegistryError, match=r"signe|nothing before"):
            rollback(promoted, "tiny:production", signer=signer)
    assert promoted.resolve("tiny:production").version == "1"
    promote(promoted, "tiny:2", "production", signer=Signer(key=keys["release"]))
    assert promoted.resolve("tiny:production").version == "2"
    rollback(promoted, "tiny:production", signer=Signer(key=keys["release"]))
    assert promoted.verify("tiny:production").release == "tiny:1"


def write_record(registry: Registry, name: str, content: bytes, server: RegistryServer | None) -> None:
    """Write a record of channels as somebody does who can write the registry."""
    if isinstance(registry, DirectoryRegistry):
        (registry.folder / name / ".channels.json").write_bytes(content)
        return
    assert server is not None
    blob = Blob.of(content)
    server.blobs[blob.digest] = content
    layer = {"digest": blob.digest, "size": blob.size}
    server.move_tag(f"team/{name}", "quantkit-channels", json.dumps({"layers": [layer]}).encode())


@pytest.mark.parametrize("forged", ["unsigned", "edited", "another key", "another name"])
def test_a_record_that_no_signer_signed_is_refused(
    promoted: Registry,
    opened: Opened,
    passed: Artifact,
    keys: dict[str, Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    forged: str,
) -> None:
    """Whoever can write the registry cannot move a channel: the record is signed whole, with the name it is of."""
    name = "tiny"
    content = promoted.channels("tiny").as_json()
    if forged == "unsigned":
        del content["signature"]
    elif forged == "edited":
        content["channels"]["production"][0]["version"] = "2"
    elif forged == "another name":
        name = "small"
        promoted.publish(passed, name=name, version="1", signer=Signer(key=keys["release"]))
    else:
        lenient = opened("signers: []")
        promote(lenient, "tiny:2", "production", signer=Signer(key=keys["other"]))
        content = lenient.channels("tiny").as_json()
        promoted = opened(listed(keys, "release"))
    server = request.getfixturevalue("memory_registry") if isinstance(promoted, OciRegistry) else None
    write_record(promoted, name, json.dumps(content).encode(), server)
    for use in (
        lambda: promoted.channels(name),
        lambda: promoted.resolve(f"{name}:production"),
        lambda: promoted.pull(f"{name}:production", tmp_path / "out"),
        lambda: promote(promoted, f"{name}:1", "production", signer=Signer(key=keys["release"])),
        lambda: rollback(promoted, f"{name}:production", signer=Signer(key=keys["release"])),
    ):
        with pytest.raises(RegistryError, match=r"is not signed|none of the signers") as refused:
            use()
        assert len(str(refused.value).splitlines()) == 1
