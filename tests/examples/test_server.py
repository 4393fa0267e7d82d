"""The example server: right answers in shared batches, refusals when full, a graceful end; its load test."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server needs pip install quantkit[server]")
pytest.importorskip("uvicorn", reason="the server needs pip install quantkit[server]")
pytest.importorskip("prometheus_client", reason="the server needs pip install quantkit[server]")
pytest.importorskip("torch", reason="the model is exported with torch (pip install quantkit[export])")

import httpx
from scripts import load_script

from quantkit.artifact import Artifact
from quantkit.recipe.settings import EvaluateSettings, ExportSettings, FuseSettings
from quantkit.runtime.engine import Feeds, ThreadEngine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.stages.evaluate import evaluate
from quantkit.stages.export import export
from quantkit.stages.fuse import fuse
from quantkit.tasks.squad import TASK

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "server"
DATA = ROOT / "quantkit" / "quickstart" / "data" / "callcentre-heldout.json"

sys.path.insert(0, str(EXAMPLE))
SERVER, LOAD = (load_script(EXAMPLE / f"{name}.py", f"example_{name}") for name in ("server", "load"))


def _count(text: str, name: str) -> float:
    """Return the value of a sample that has no labels."""
    (value,) = re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(value)


def _asked(question: str, context: str) -> dict[str, object]:
    return {"rows": [{"question": question, "context": context}]}


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
    questions = TASK.read(DATA, "data").questions[:24]
    profile = RuntimeProfile(instances=2, token_budget=2048, equal_lengths=equal_lengths)

    async def work(client: httpx.AsyncClient) -> object:
        asked = [_asked(each.question, each.context) for each in questions]
        answers = await asyncio.gather(*(client.post("/answer", json=one) for one in asked))
        return [answer.json()["rows"][0] for answer in answers], (await client.get("/metrics")).text

    answers, metrics = _run(SERVER.create_app(artifact, profile, wait_ms=500), work)
    assert [score.answer for score in expected] == [answer["text"] for answer in answers]
    assert all(0 < answer["score"] <= 1.000001 for answer in answers)
    names = ("rows_total", "batch_size_sum", "windows_inside")
    assert [_count(metrics, f"quantkit_{name}") for name in names] == [24, 24, 0]
    assert _count(metrics, "quantkit_batch_size_count") < 24
    if equal_lengths:
        assert _count(metrics, "quantkit_padding_tokens_total") == 0


def test_a_full_server_refuses(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """More windows than may be inside are answered 503 at once; the others are answered, and later ones again."""
    refused, submit = threading.Event(), ThreadEngine.submit

    def submit_later(engine: ThreadEngine, feeds: Feeds) -> object:
        refused.wait(60)
        return submit(engine, feeds)

    monkeypatch.setattr(ThreadEngine, "submit", submit_later)

    async def work(client: httpx.AsyncClient) -> object:
        asked = _asked("Who called?", "Ann called. " * 3)
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


def test_long_texts_are_answered(artifact: Artifact) -> None:
    """A text of many windows is answered from all of them, also beyond the queue's size."""

    async def work(client: httpx.AsyncClient) -> object:
        return (await client.post("/answer", json=_asked("Who called?", "Ann called. " * 900))).json()

    app = SERVER.create_app(artifact, RuntimeProfile(instances=1), queue=2)
    assert _run(app, work)["windows"] > 2


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
        target=lambda: found.append(httpx.post(f"{url}/answer", json={"rows": asked[:1]}, timeout=600))
    )
    late.start()
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        now = httpx.get(f"{url}/metrics", timeout=600).text
        if _count(now, "quantkit_windows_inside") + _count(now, "quantkit_rows_total") > 40:
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
