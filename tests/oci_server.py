"""OCI registries for tests, on loopback: one in memory, Debian's `docker-registry`, and faults before either.

`RegistryServer` answers by itself (`upstream=None`) or passes everything on to a real registry. `fail` lets the
next requests of a kind go wrong: an error, a body that ends early, other bytes, no answer, a slow one.
"""

import base64
import hashlib
import http.client
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

INSTALL = "docker-registry is not installed: apt-get install -y docker-registry"
SCOPE = 'realm="http://{host}/token",service="test",scope="repository:x:pull,push"'


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose `METHOD path` matches."""

    pattern: str
    kind: str  # error, cut, other, longer, drop, slow
    times: int = 1
    status: int = 500
    seconds: float = 0.0
    then: Callable[[], None] = lambda: None


@dataclass
class Answer:
    """Status, headers and body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class RegistryServer:
    """A registry in memory, or a proxy before a real one.

    Attributes:
        upstream: port of the real registry on this machine.
        login: `user:password` that is asked for, as `basic` or `bearer`.
        requests: `METHOD path` of everything that came, in order.
    """

    upstream: int | None = None
    login: tuple[str, str] | None = None
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    deletes: bool = True

    def __post_init__(self) -> None:
        registry = self

        class Handler(_Handler):
            server_state = registry

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.host = f"localhost:{self.port}"
        self.lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def fail(self, pattern: str, kind: str, **how: Any) -> Fault:
        """Let the next requests that match go wrong."""
        self.faults.append(Fault(pattern=pattern, kind=kind, **how))
        return self.faults[-1]

    def sent(self, pattern: str) -> int:
        """Return how many requests that match have come."""
        return sum(bool(re.search(pattern, request)) for request in self.requests)

    def move_tag(self, repository: str, tag: str, content: bytes) -> None:
        """Put a tag on other content, as nobody should."""
        digest = _digest(content)
        self.manifests.setdefault(repository, {})[digest] = content
        self.tags.setdefault(repository, {})[tag] = digest

    def content(self, repository: str, tag: str) -> bytes:
        """Return the manifest under a tag."""
        return self.manifests[repository][self.tags[repository][tag]]

    # What a registry does, as far as quantkit asks for it.

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:  # noqa: PLR0911 - one per kind
        """Answer one request."""
        if self.upstream is not None:
            return self._forward(method, target, headers, body)
        refused = self._refused(target, headers)
        if refused is not None:
            return refused
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path == "/v2/_catalog":
            return _json({"repositories": sorted(self.tags)})
        match = re.fullmatch(r"/v2/(.+?)/(manifests|blobs|tags)/(.*)", path)
        if match is None:
            return Answer(404)
        repository, kind, name = match.groups()
        if kind == "tags":
            known = self.tags.get(repository)
            return Answer(404) if known is None else _json({"name": repository, "tags": sorted(known)})
        with self.lock:
            if kind == "blobs":
                return self._blob(method, repository, name, query, headers, body)
            return self._manifest(method, repository, name, body)

    def _blob(
        self, method: str, repository: str, name: str, query: dict[str, list[str]], headers: Any, body: bytes
    ) -> Answer:
        if method == "POST":
            return Answer(202, {"Location": f"/v2/{repository}/blobs/uploads/u?state=1"})
        if method == "PUT":
            digest = query["digest"][0]
            if _digest(body) != digest:
                return _json({"errors": [{"code": "DIGEST_INVALID", "message": "no such digest"}]}, 400)
            self.blobs[digest] = body
            return Answer(201)
        if name not in self.blobs:
            return Answer(404)
        start = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        content = self.blobs[name]
        if start:
            at = int(start[1])
            return Answer(
                206, {"Content-Range": f"bytes {at}-{len(content) - 1}/{len(content)}"}, content[at:]
            )
        return Answer(200, {}, content)

    def _manifest(self, method: str, repository: str, name: str, body: bytes) -> Answer:
        known, tags = self.manifests.setdefault(repository, {}), self.tags.setdefault(repository, {})
        if method == "PUT":
            known[_digest(body)] = body
            tags[name] = _digest(body)
            return Answer(201)
        digest = tags.get(name, name)
        if digest not in known:
            return Answer(404)
        if method == "DELETE":
            if not self.deletes:
                return _json({"errors": [{"code": "UNSUPPORTED", "message": "not here"}]}, 405)
            del known[digest]
            self.tags[repository] = {tag: other for tag, other in tags.items() if other != digest}
            return Answer(202)
        return Answer(200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, known[digest])

    def _refused(self, target: str, headers: Any) -> Answer | None:
        if self.login is None:
            return None
        kind, pair = self.login
        basic = "Basic " + base64.b64encode(pair.encode()).decode()
        said = headers.get("Authorization", "")
        if target.startswith("/token"):
            return _json({"token": "secret"}) if said == basic else _json({"errors": []}, 401)
        if said == (basic if kind == "basic" else "Bearer secret"):
            return None
        challenge = 'Basic realm="test"' if kind == "basic" else "Bearer " + SCOPE.format(host=self.host)
        return Answer(401, {"WWW-Authenticate": challenge})

    def _forward(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=600)
        try:
            passed = {name: value for name, value in headers.items() if name.lower() != "transfer-encoding"}
            connection.request(method, target, body=body, headers=passed)
            response = connection.getresponse()
            content = response.read()
            kept = {"location", "link", "content-range", "docker-content-digest", "content-type"}
            return Answer(
                response.status,
                {name: value for name, value in response.getheaders() if name.lower() in kept},
                content,
            )
        except OSError:
            return Answer(502)
        finally:
            connection.close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *arguments: object) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: RegistryServer

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        state = self.server_state
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = f"{self.command} {self.path}"
        state.requests.append(request)
        fault = next(
            (fault for fault in state.faults if fault.times > 0 and re.search(fault.pattern, request)), None
        )
        if fault is not None:
            fault.times -= 1
            fault.then()
            if fault.kind == "error":
                return self._send(Answer(fault.status, {}, b'{"errors": [{"message": "a fault"}]}'))
            if fault.kind == "drop":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return None
            if fault.kind == "slow":
                time.sleep(fault.seconds)
        answer = state.answer(self.command, self.path, self.headers, body)
        if fault is not None and answer.body:
            if fault.kind == "cut":
                return self._send(answer, cut=len(answer.body) // 2)
            if fault.kind == "other":
                answer.body = bytes([answer.body[0] ^ 1]) + answer.body[1:]
            if fault.kind == "longer":
                answer.body += b"more"
        return self._send(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the library's names

    def _send(self, answer: Answer, cut: int | None = None) -> None:
        try:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[:cut])
            if cut is not None:
                self.close_connection = True
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def _json(content: Any, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class DockerRegistry:
    """Debian's registry as a process of the test, with its data in a folder; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.host = f"localhost:{self.port}"
        self._config = folder / "registry.yml"
        self._config.write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage:\n"
            f"  filesystem: {{rootdirectory: {folder / 'data'}}}\n  delete: {{enabled: true}}\n"
            f"http: {{addr: '127.0.0.1:{self.port}'}}\n"
        )
        self.start()

    def start(self) -> None:
        """Start the process and wait until it listens."""
        self._process = subprocess.Popen(
            ["docker-registry", "serve", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(12_000):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=60).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("docker-registry did not start")

    def kill(self) -> None:
        """Kill the process; its data stays."""
        self._process.kill()
        self._process.wait()

    close = kill


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients try again without waiting, and read tags back at once."""
    from urllib3.util.retry import Retry

    monkeypatch.setattr("quantkit.registry.oci.transport.POLICY", Retry(total=3, backoff_factor=0))
    monkeypatch.setattr("quantkit.registry.oci.registry.SETTLE_SECONDS", 0)


@pytest.fixture
def no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for docker's configuration, empty, and hide the user's own."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    return folder


@pytest.fixture
def memory_registry(quick_retries: None, no_login: Path) -> Iterator[RegistryServer]:
    """Return a registry in memory."""
    server = RegistryServer()
    yield server
    server.close()


@pytest.fixture
def docker_registry(tmp_path_factory: pytest.TempPathFactory, no_login: Path) -> Iterator[DockerRegistry]:
    """Return a real registry on loopback, or skip."""
    if shutil.which("docker-registry") is None:
        pytest.skip(INSTALL)
    server = DockerRegistry(tmp_path_factory.mktemp("docker-registry"))
    yield server
    server.close()


@pytest.fixture(params=["memory", "docker-registry"])
def oci_server(request: pytest.FixtureRequest) -> Iterator[RegistryServer]:
    """Return a registry in memory, and then a real one behind the same faults."""
    if request.param == "memory":
        yield request.getfixturevalue("memory_registry")
        return
    request.getfixturevalue("quick_retries")
    real = request.getfixturevalue("docker_registry")
    proxy = RegistryServer(upstream=real.port)
    yield proxy
    proxy.close()
