"""A stand-in for the Hugging Face Hub on loopback: repositories in memory, as far as huggingface_hub 2.4 asks here.

Not the Hub: no LFS, no Xet, no permissions. It answers what `create_repo`, `create_branch`, `list_repo_files`,
`upload_folder` and `snapshot_download` ask for, and every file is a regular one.
"""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

Tree = dict[str, bytes]


class HubServer(ThreadingHTTPServer):
    """The server, and what it holds."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.branches: dict[tuple[str, str], str] = {}  # (repository, branch) → commit
        self.commits: dict[str, Tree] = {}
        self.created: dict[str, bool] = {}  # repository → private
        self.unknown: list[str] = []
        self.commit("nobody/empty", "main", {})

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repository: str, branch: str, tree: Tree) -> str:
        """Let a branch hold these files, and return the commit."""
        said = json.dumps([repository, len(self.commits), sorted(tree)])
        name = hashlib.sha1(said.encode()).hexdigest()
        self.commits[name] = dict(tree)
        self.branches[repository, branch] = name
        return name

    def tree(self, repository: str, revision: str = "main") -> tuple[str, Tree] | None:
        """Return commit and files of a branch or commit."""
        name = self.branches.get((repository, revision), revision)
        return (name, self.commits[name]) if name in self.commits else None


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        match (self.command, parts):
            case ("POST", ["api", "repos", "create"]):
                self._create(json.loads(body))
            case ("POST", ["api", "validate-yaml"]):
                self._json({"errors": [], "warnings": []})
            case ("POST", ["api", "models", owner, name, "branch", *branch]):
                found = self.server.tree(f"{owner}/{name}")
                self.server.branches[f"{owner}/{name}", "/".join(branch)] = found[0] if found else ""
                self._json({})
            case ("POST", ["api", "models", _, _, "preupload", *_]):
                files = [
                    {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                    for one in json.loads(body)["files"]
                ]
                self._json({"files": files})
            case ("POST", ["api", "models", owner, name, "commit", *branch]):
                self._commit(f"{owner}/{name}", "/".join(branch), body)
            case ("GET", ["api", "models", owner, name, "tree", *revision]):
                self._tree(f"{owner}/{name}", "/".join(revision))
            case ("GET", ["api", "models", owner, name, *rest]):
                self._info(f"{owner}/{name}", "/".join(rest[1:]) or "main")
            case ("GET" | "HEAD", [owner, name, "resolve", revision, *path]):
                self._file(f"{owner}/{name}", revision, "/".join(path))
            case _:
                self.server.unknown.append(f"{self.command} {self.path}")
                self._json({"error": "not here"}, status=404)

    def _create(self, asked: dict[str, object]) -> None:
        repository = f"{asked.get('organization') or 'somebody'}/{asked['name']}"
        if self.server.tree(repository) is not None:
            self._json({"url": f"{self.server.address}/{repository}", "error": "exists"}, status=409)
            return
        self.server.created[repository] = bool(asked.get("private") or asked.get("visibility") == "private")
        self.server.commit(repository, "main", {".gitattributes": b"*.onnx filter=lfs\n"})
        self._json({"url": f"{self.server.address}/{repository}"})

    def _commit(self, repository: str, branch: str, body: bytes) -> None:
        found = self.server.tree(repository, branch)
        tree = dict(found[1]) if found else {}
        for line in body.splitlines():
            step = json.loads(line)
            value = step["value"]
            if step["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif step["key"] == "deletedFile":
                del tree[value["path"]]
        commit = self.server.commit(repository, branch, tree)
        url = f"{self.server.address}/{repository}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": url})

    def _tree(self, repository: str, revision: str) -> None:
        found = self.server.tree(repository, revision)
        if found is None:
            self._missing(repository)
            return
        self._json(
            [
                {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
                for name, content in found[1].items()
            ]
        )

    def _info(self, repository: str, revision: str) -> None:
        found = self.server.tree(repository, revision)
        if found is None:
            self._missing(repository)
            return
        files = [{"rfilename": name} for name in found[1]]
        self._json(
            {"id": repository, "modelId": repository, "sha": found[0], "private": True, "siblings": files}
        )

    def _file(self, repository: str, revision: str, path: str) -> None:
        found = self.server.tree(repository, revision)
        if found is None or path not in found[1]:
            self._missing(repository)
            return
        self._send(200, found[1][path], {"X-Repo-Commit": found[0], "ETag": f'"{_oid(found[1][path])}"'})

    def _missing(self, repository: str) -> None:
        known = any(repository == name for name, _ in self.server.branches)
        code = "RevisionNotFound" if known else "RepoNotFound"
        self._send(404, b"{}", {"X-Error-Code": code, "X-Error-Message": "not there"})

    def _json(self, content: object, *, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextlib.contextmanager
def serving() -> Iterator[HubServer]:
    """Yield a running server."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Return a Hub that huggingface_hub asks instead of the real one, with a cache of its own."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="pip install 'quantkit[hub]'")
    with serving() as server:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            server.address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
        yield server
        # Connections that are kept alive would warn when they are collected.
        with contextlib.suppress(ImportError, AttributeError):
            from huggingface_hub.utils import close_session

            close_session()
