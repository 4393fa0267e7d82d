"""The example server: right answers in shared batches, refusals when full, a graceful end; its load test."""

import asyncio
import importlib.util
import json
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("fastapi", reason="the server needs pip install quantkit[server]")
pytest.importorskip("uvicorn", reason="the server needs pip install quantkit[server]")
pytest.importorskip("torch", reason="the model is exported with torch (pip install quantkit[export])")

import httpx

from quantkit.artifact import Artifact
from quantkit.recipe.settings import EvaluateSettings, ExportSettings, FuseSettings
from quantkit.runtime.engine import Feeds, ThreadEngine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.stages.evaluate import evaluate
from quantkit.stages.export import export
from quantkit.stages.fuse import fuse

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "server"
DATA = ROOT / "quantkit" / "quickstart" / "data" / "callcentre-heldout.json"


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


SERVER, LOAD = _script("server"), _script("load")


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return the quickstart's model, exported and fused."""
    folder = tmp_path_factory.mktemp("server")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = export(
            str(ROOT / "quantkit" / "quickstart" / "model"),
            folder / "plain",
            task="squad",
            settings=ExportSettings(),
        )
    return fuse(plain, folder / "fused", settings=FuseSettings())


def _run(app: object, work: Callable[[httpx.AsyncClient], object]) -> object:
    """Start an application, let `work` talk to it in process, and stop it."""

    async def main() -> object:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await work(client)

    return asyncio.run(main())


@pytest.mark.parametrize("equal_lengths", [False, True])
def test_answers_are_those_of_evaluate(artifact: Artifact, equal_lengths: bool, tmp_path: Path) -> None:
    """Many at once, in shared batches, each gets its own answer; scores are shares; metrics add up."""
    expected = evaluate(artifact, settings=EvaluateSettings(data=str(DATA), limit=24)).scores
    questions = SERVER.TASK.read(DATA, "data").questions[:24]
    profile = RuntimeProfile(instances=2, token_budget=2048, equal_lengths=equal_lengths)

    async def work(client: httpx.AsyncClient) -> object:
        asked = [{"question": each.question, "context": each.context} for each in questions]
        answers = await asyncio.gather(*(client.post("/answer", json=one) for one in asked))
        return [answer.json() for answer in answers], (await client.get("/metrics")).json()

    answers, metrics = _run(SERVER.create_app(artifact, profile, wait_ms=500), work)
    assert [score.answer for score in expected] == [answer["answer"] for answer in answers]
    assert all(0 < answer["score"] <= 1.000001 for answer in answers)
    assert tuple(metrics[name] for name in ("answered", "windows", "rejected", "failed", "inside")) == (
        24,
        24,
        0,
        0,
        0,
    )
    assert metrics["mean_batch"] > 1
    if equal_lengths:
        assert metrics["padding"] == 0


def test_a_full_server_refuses(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """More windows than may be inside are answered 503 at once; the others are answered, and later ones again."""
    refused, submit = threading.Event(), ThreadEngine.submit

    def submit_later(engine: ThreadEngine, feeds: Feeds) -> object:
        refused.wait(60)
        return submit(engine, feeds)

    monkeypatch.setattr(ThreadEngine, "submit", submit_later)

    async def work(client: httpx.AsyncClient) -> object:
        asked = {"question": "Who called?", "context": "Ann called. " * 3}
        codes = []
        for one in asyncio.as_completed([client.post("/answer", json=asked) for _ in range(12)]):
            codes.append((await one).status_code)
            if codes.count(503) == 9:
                refused.set()
        return codes, (await client.post("/answer", json=asked)).status_code

    app = SERVER.create_app(artifact, RuntimeProfile(instances=1, token_budget=4096), queue=3)
    codes, later = _run(app, work)
    assert {code: codes.count(code) for code in (200, 503)} == {200: 3, 503: 9}
    assert later == 200


def test_bad_questions_are_refused_and_long_ones_answered(artifact: Artifact) -> None:
    """No question is a 422; a text of many windows is answered from all of them, also beyond the queue's size."""

    async def work(client: httpx.AsyncClient) -> object:
        bad = await client.post("/answer", json={"question": "", "context": "x"})
        long = await client.post("/answer", json={"question": "Who called?", "context": "Ann called. " * 900})
        return bad.status_code, long.json()["windows"], (await client.get("/health")).json()

    app = SERVER.create_app(artifact, RuntimeProfile(instances=1), queue=2)
    code, windows, health = _run(app, work)
    assert code == 422
    assert windows > 2
    assert ("ok", artifact.digest, 1) == (
        health["status"],
        health["artifact"],
        health["profile"]["instances"],
    )


def test_a_stopped_server_says_so(artifact: Artifact) -> None:
    """Before the start and after the end there is no health, and questions are refused."""
    app = SERVER.create_app(artifact, RuntimeProfile(instances=1))

    async def main() -> list[int]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            async with app.router.lifespan_context(app):
                pass
            asked = await client.post("/answer", json={"question": "a", "context": "b"})
            return [(await client.get("/health")).status_code, asked.status_code]

    assert asyncio.run(main()) == [503, 503]


@pytest.fixture
def running(artifact: Artifact) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Return a real server on a free port, and make sure that it ends."""
    process, url = LOAD.serve(str(artifact.path), "--wait-ms", "500")
    yield process, url
    process.kill()
    process.wait()


def test_a_real_server_is_loaded_and_ends_gracefully(running: tuple[subprocess.Popen[bytes], str]) -> None:
    """The load test counts what it asked; after SIGTERM what was asked before is still answered, exit code 0."""
    process, url = running
    asked = LOAD.questions(DATA, 20)
    closed = asyncio.run(LOAD.load(url, asked, concurrency=8, rate=None))
    poisson = asyncio.run(LOAD.load(url, asked, concurrency=1, rate=500.0))
    assert (len(closed.latencies), len(poisson.latencies)) == (20, 20)
    assert closed.mean_batch > 1
    assert "p99" in str(poisson)
    found: list[httpx.Response] = []
    late = threading.Thread(
        target=lambda: found.append(httpx.post(f"{url}/answer", json=asked[0], timeout=600))
    )
    late.start()
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        now = httpx.get(f"{url}/metrics", timeout=600).json()
        if now["inside"] + now["answered"] > 40:
            break
    process.send_signal(signal.SIGTERM)
    late.join()
    assert ([one.status_code for one in found], process.wait(600)) == ([200], 0)


def test_a_published_artifact_is_pulled_and_verified(
    make_artifact, pass_gate, tmp_path: Path, caplog
) -> None:
    """name:version comes out of the registry; a folder that nobody published is opened with a warning."""
    artifact = make_artifact(tmp_path / "made")
    pass_gate(artifact)
    SERVER.DirectoryRegistry(tmp_path / "registry").publish(artifact, name="support-qa", version="1.0.0")
    pulled = SERVER.open_artifact("support-qa:1.0.0", tmp_path / "registry", tmp_path)
    assert (artifact.digest, tmp_path / "artifact") == (pulled.digest, pulled.path)
    assert caplog.records == []
    SERVER.open_artifact(str(pulled.path), tmp_path / "registry", tmp_path)
    assert caplog.records == []
    SERVER.open_artifact(str(artifact.path), tmp_path / "registry", tmp_path)
    assert "is not published" in caplog.text


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    """A reference that is not in the registry ends with exit code 2."""
    command = [sys.executable, str(EXAMPLE / "server.py"), "nothing:1.0", "--registry", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith("error: ")


def test_questions_are_repeated_when_there_are_too_few(tmp_path: Path) -> None:
    """A small file makes a long load."""
    text = json.loads(DATA.read_text())
    text["data"] = text["data"][:1]
    text["data"][0]["paragraphs"] = text["data"][0]["paragraphs"][:1]
    small = tmp_path / "small.json"
    small.write_text(json.dumps(text))
    count = len(text["data"][0]["paragraphs"][0]["qas"])
    found = LOAD.questions(small, 3 * count)
    assert found[:count] == found[count : 2 * count]
