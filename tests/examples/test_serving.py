"""The reference server's routes: each task from an artifact of its own, limits, readiness, metrics, in process."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server needs pip install quantkit[server]")
pytest.importorskip("uvicorn", reason="the server needs pip install quantkit[server]")
pytest.importorskip("prometheus_client", reason="the server needs pip install quantkit[server]")

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tiny_tasks import save_for_task

import quantkit
from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError
from quantkit.runtime.profile import RuntimeProfile
from quantkit.tables import TASKS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "server"))
from serving.app import create_app
from serving.limits import Limits
from serving.routes import ROUTES

ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "squad": ("/answer", {"question": "who wrote it?", "context": "ann wrote it."}),
    "text-classification": ("/classify", {"text": "good good"}),
    "multi-label-classification": ("/classify", {"text": "good", "text_pair": "bad"}),
    "text-regression": ("/score", {"text": "good it good"}),
    "reranking": ("/rerank", {"query": "who", "passages": ["bad", "good", "good good"]}),
    "token-classification": ("/tag", {"words": ["good", "bad", "it"]}),
    "sentence-similarity": ("/embed", {"text": "good bad bad"}),
}
"""Task → its route and a row."""
JSON = {"content-type": "application/json"}


def _expected(model: Any, task: str) -> dict[str, Any]:
    """Return the reply's row as the Python API says it."""
    row = ASKED[task][1]
    match task:
        case "squad":
            answer = model.answer(row["question"], row["context"])
            return {"text": answer.text, "score": answer.score}
        case "text-classification" | "multi-label-classification":
            found = model.classify(row["text"], row.get("text_pair"))
            return {"labels": [{"name": label.name, "score": label.score} for label in found]}
        case "text-regression":
            return {"score": model.score(row["text"])}
        case "reranking":
            found = model.rerank(row["query"], row["passages"])
            return {"ranked": [{"passage": one.passage, "score": one.score} for one in found]}
        case "token-classification":
            return {"tags": model.tag(row["words"])}
    return {"embedding": model.embed([row["text"]])[0].tolist()}


def _run(app: Any, work: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """Start an application, let `work` talk to it in process, and stop it."""

    async def main() -> Any:
        async with app.router.lifespan_context(app), _client(app) as client:
            return await work(client)

    return asyncio.run(main())


def _client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://server")


def _app(artifact: Artifact, **options: Any) -> Any:
    return create_app(artifact, RuntimeProfile(instances=1), **options)


def _metrics(text: str) -> dict[str, float]:
    """Return every sample as name{label values} → value."""
    return {
        sample.name
        + "".join(f"|{value}" for name, value in sorted(sample.labels.items()) if name != "digest"): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_task_has_a_route() -> None:
    """The server knows the tasks that there are, and this file asks each."""
    assert (set(ROUTES), set(ASKED)) == (set(TASKS), set(TASKS))


@pytest.mark.parametrize("task", ASKED)
def test_replies_are_those_of_the_api(task: str, tmp_path: Path) -> None:
    """Rows asked at once each get the reply that `quantkit.load` gives; routes of other tasks are not there."""
    artifact = save_for_task(tmp_path / "artifact", task)
    with quantkit.load(artifact, threads=1) as model:
        expected = _expected(model, task)
    path, row = ASKED[task]

    async def work(client: httpx.AsyncClient) -> Any:
        asked = [client.post(path, json={"rows": [row, row]}) for _ in range(3)]
        replies = [reply.json() for reply in await asyncio.gather(*asked)]
        others = [await client.post(each.path, json={"rows": [row]}) for each in ROUTES.values()]
        return replies, {other.status_code for other in others}, (await client.get("/metrics")).text

    replies, codes, text = _run(_app(artifact, wait_ms=50), work)
    for reply in replies:
        assert reply["rows"] == [pytest.approx(expected, abs=1e-6) if task == "squad" else expected] * 2
        assert (reply["truncated"], reply["windows"]) == (0, 6 if task == "reranking" else 2)
    assert codes == {200, 404}
    found = _metrics(text)
    asked = 3 + sum(each.path == path for each in ROUTES.values())
    rows = (6 + asked - 3) * (3 if task == "reranking" else 1)
    assert (found["quantkit_requests_total|200"], found["quantkit_rows_total"]) == (asked, rows)
    assert (found["quantkit_batch_size_sum"], found["quantkit_request_seconds_count"]) == (rows, asked)
    assert found[f"quantkit_artifact_info|{task}"] == 1
    assert found["quantkit_tokens_total"] > 0


def test_what_is_too_much_is_told(tmp_path: Path) -> None:
    """Rows, characters and bytes have limits of their own; each refusal is one line with the limit, and is counted."""
    app = _app(
        save_for_task(tmp_path / "artifact", "text-classification"),
        limits=Limits(rows=2, characters=20, body_bytes=500),
    )
    good = {"text": "good"}

    async def chunks() -> Any:
        for _ in range(100):
            yield b" " * 10

    async def work(client: httpx.AsyncClient) -> Any:
        bodies = [
            {"rows": [good] * 3},
            {"rows": [good, {"text": "x" * 21}]},
            {"rows": [{"text": "x" * 600}]},
            {"rows": []},
            {"rows": [{"text": ""}]},
            {"rows": [{"txet": "good"}]},
            {"rows": [good], "threshold": 1},
        ]
        replies = [await client.post("/classify", json=body) for body in bodies]
        replies.append(await client.post("/classify", content=chunks(), headers=JSON))
        replies.append(
            await client.post("/classify", content=b'{"rows": [{"text": "\\ud800"}]}', headers=JSON)
        )
        replies.append(await client.post("/classify", content=b"{", headers=JSON))
        told = [(reply.status_code, reply.json()["detail"]) for reply in replies]
        return told, (await client.get("/metrics")).text

    told, text = _run(app, work)
    assert told[:3] == [
        (413, "rows: 3 in one request, at most 2; send fewer at once"),
        (413, "rows.1: a text of 21 characters, at most 20; cut it"),
        (413, "body: more than 500 bytes; send fewer rows at once"),
    ]
    assert told[7] == told[2]
    assert {code for code, _ in told[3:7] + told[8:]} == {422}
    places = [line.partition(":")[0] for _, line in told[3:7]]
    assert places == ["rows", "rows.0.text", "rows.0.text", "threshold"]
    found = _metrics(text)
    assert (found["quantkit_requests_total|413"], found["quantkit_requests_total|422"]) == (4, 6)
    assert found["quantkit_request_seconds_count"] == 0


def test_a_passage_is_a_row(tmp_path: Path) -> None:
    """Passages of one query count against the limit of rows."""
    app = _app(save_for_task(tmp_path / "artifact", "reranking"), limits=Limits(rows=2))

    async def work(client: httpx.AsyncClient) -> Any:
        return await client.post("/rerank", json={"rows": [ASKED["reranking"][1]]})

    reply = _run(app, work)
    assert (reply.status_code, reply.json()["detail"]) == (
        413,
        "rows: 3 in one request, at most 2; send fewer at once",
    )


def test_cut_texts_are_counted(tmp_path: Path) -> None:
    """A text beyond what the model reads is replied to, and said to be truncated."""
    app = _app(save_for_task(tmp_path / "artifact", "text-classification"))

    async def work(client: httpx.AsyncClient) -> Any:
        rows = [{"text": "good " * 600}, {"text": "good"}]
        return (await client.post("/classify", json={"rows": rows})).json(), (
            await client.get("/metrics")
        ).text

    reply, text = _run(app, work)
    assert (reply["truncated"], _metrics(text)["quantkit_truncated_rows_total"]) == (1, 1)


def test_ready_from_start_to_stop(tmp_path: Path) -> None:
    """Alive always; ready, with the digest of what is served, only while requests are taken."""
    artifact = save_for_task(tmp_path / "artifact", "squad")
    app = _app(artifact)
    path, row = ASKED["squad"]

    async def main() -> Any:
        async with _client(app) as client:
            before = (await client.get("/healthz")).status_code, (await client.get("/readyz")).status_code
            async with app.router.lifespan_context(app):
                inside = await client.get("/readyz")
            after = [await client.get(each) for each in ("/healthz", "/readyz")]
            late = await client.post(path, json={"rows": [row]})
            return before, inside, [each.status_code for each in [*after, late]]

    before, inside, after = asyncio.run(main())
    assert (before, after) == ((200, 503), [200, 503, 503])
    assert (inside.status_code, inside.json()["artifact"]) == (200, artifact.digest)


def test_changed_bytes_are_not_served(tmp_path: Path) -> None:
    """A byte that changed since the artifact was opened ends the start."""
    artifact = save_for_task(tmp_path / "artifact", "squad")
    content = bytearray(artifact.model_path.read_bytes())
    content[-1] ^= 1
    artifact.model_path.write_bytes(content)

    async def work(_: httpx.AsyncClient) -> None:
        raise AssertionError

    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        _run(_app(artifact), work)


@pytest.mark.parametrize("task", ASKED)
def test_commands_of_the_page(task: str, tmp_path: Path) -> None:
    """Each curl command of docs/server.md is a request that its route replies to; its metrics and codes are true."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
    asked = re.findall(r"^\$ curl -s localhost:8000(/\w+) [^\n]*?-d '([^']+)'$", page, re.MULTILINE)
    assert {path for path, _ in asked} == {route.path for route in ROUTES.values()}
    path = ASKED[task][0]

    async def work(client: httpx.AsyncClient) -> Any:
        replies = [await client.post(to, content=body, headers=JSON) for to, body in asked if to == path]
        return replies, (await client.get("/metrics")).text

    replies, text = _run(_app(save_for_task(tmp_path / "artifact", task)), work)
    told = [reply.json()["detail"] for reply in replies if reply.status_code == 422]
    assert {reply.status_code for reply in replies} - {422} == {200}
    assert [f'{{"detail":"{one}"}}' in page for one in told] == [True] * len(told)
    families = {
        family.name.removesuffix("_info")
        for family in text_string_to_metric_families(text)
        if not family.name.endswith("_created")
    }
    named = re.findall(r"`(quantkit_\w+?)(?:_total|_info)?[`{]", page)
    assert set(named) == families
