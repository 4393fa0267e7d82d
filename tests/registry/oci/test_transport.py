"""Logging in and bad answers: credentials go to their host alone, and every no is one line."""

import base64
import json
from pathlib import Path

import pytest
from oci_server import RegistryServer

from quantkit.errors import RegistryError
from quantkit.registry.oci.client import Client
from quantkit.registry.oci.credentials import credentials_of
from quantkit.registry.oci.location import Location
from quantkit.registry.oci.transport import Transport

PAIR = base64.b64encode(b"ann:secret").decode()


@pytest.fixture
def client(memory_registry: RegistryServer) -> Client:
    return client_of(memory_registry)


def client_of(server: RegistryServer) -> Client:
    return Client(transport=Transport(location=Location.parse(f"oci://{server.host}")))


def log_in(folder: Path, host: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": PAIR}}}))


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_what_docker_login_stored_is_used(memory_registry: RegistryServer, no_login: Path, kind: str) -> None:
    """Both ways of asking are answered; without credentials the line says how to log in."""
    memory_registry.login = (kind, "ann:secret")
    memory_registry.move_tag("tiny", "1", b"{}")
    with pytest.raises(RegistryError, match=r"does not let you .*docker login localhost"):
        client_of(memory_registry).manifest("tiny", "1")
    log_in(no_login, memory_registry.host)
    assert client_of(memory_registry).manifest("tiny", "1") == b"{}"


def test_credentials_belong_to_their_host(no_login: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other host gets them, and the environment wins over the file."""
    log_in(no_login, "registry.example.com")
    assert credentials_of("other.example.com") is None
    found = credentials_of("registry.example.com")
    assert found is not None
    assert (found.user, found.password) == ("ann", "secret")
    direct = {"auths": {"registry.example.com": {"identitytoken": "t"}}}
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps(direct))
    found = credentials_of("registry.example.com")
    assert found is not None
    assert found.identity_token == "t"


def test_a_credential_helper_is_asked(
    no_login: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Docker's helpers keep the secret out of the file; one that is missing is named."""
    (no_login / "config.json").write_text('{"credHelpers": {"host": "tester", "other": "missing"}}')
    program = tmp_path / "docker-credential-tester"
    program.write_text('#!/bin/sh\nread host\necho "{\\"Username\\": \\"$host\\", \\"Secret\\": \\"s\\"}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = credentials_of("host")
    assert found is not None
    assert (found.user, found.password) == ("host", "s")
    with pytest.raises(RegistryError, match="docker-credential-missing cannot be run"):
        credentials_of("other")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        pytest.param("[" * 100_000, id="deep"),
        '{"auths": {"host": {"auth": "!"}}}',
        '{"credsStore": "../x"}',
    ],
)
def test_a_damaged_login_is_one_line(no_login: Path, content: str) -> None:
    """Whatever the file holds, the line says which file."""
    (no_login / "config.json").write_text(content)
    with pytest.raises(RegistryError, match="log in again") as refused:
        credentials_of("host")
    assert len(str(refused.value).splitlines()) == 1


def test_a_token_is_not_fetched_over_plain_http(memory_registry: RegistryServer, no_login: Path) -> None:
    """A registry that is not this machine cannot ask for the password where everybody reads it."""
    transport = Transport(location=Location.parse("oci://registry.example.com"))
    with pytest.raises(RegistryError, match="which is not https"):
        transport._token({"realm": f"http://{memory_registry.host}/token"}, None)
    assert memory_registry.requests == []


@pytest.mark.parametrize("kind", ["cut", "drop", "error", "slow"])
def test_a_cut_body_goes_on_where_it_was(
    memory_registry: RegistryServer,
    client: Client,
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A blob is whole after a cut, a lost connection, an error, and an answer that takes too long."""
    from quantkit.registry.oci.client import Blob

    if kind == "slow":
        monkeypatch.setattr("quantkit.registry.oci.transport.READ_SECONDS", 2)
    content = bytes(range(256)) * 20_000
    memory_registry.blobs[Blob.of(content).digest] = content
    memory_registry.fail("^GET .*blobs", kind, times=2, seconds=4)
    counted: list[int] = []
    client.fetch_blob("tiny", Blob.of(content), tmp_path / "file", counted.append)
    assert (tmp_path / "file").read_bytes() == content
    assert sum(counted) == len(content)


def test_no_registry_there_is_one_line(quick_retries: None, no_login: Path) -> None:
    """Nobody listens: the line says so after the tries."""
    server = RegistryServer()
    client = client_of(server)
    server.close()
    with pytest.raises(RegistryError, match=r"does not answer as it should .*Connection refused") as refused:
        client.manifest("tiny", "1")
    assert len(str(refused.value).splitlines()) == 1


def test_answers_are_bounded(memory_registry: RegistryServer, client: Client) -> None:
    """A manifest of 5 MB is not read to its end."""
    memory_registry.move_tag("tiny", "1", b" " * (5 << 20))
    with pytest.raises(RegistryError, match="is longer than"):
        client.manifest("tiny", "1")


def test_a_manifest_by_digest_has_that_digest(memory_registry: RegistryServer, client: Client) -> None:
    """Other bytes under a digest are refused."""
    memory_registry.manifests["tiny"] = {"sha256:" + "0" * 64: b"{}"}
    with pytest.raises(RegistryError, match="gives other bytes"):
        client.manifest("tiny", "sha256:" + "0" * 64)
