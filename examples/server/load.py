"""A load test over loopback: p50, p90, p99, questions per second and the mean batch.

    python examples/server/load.py http://127.0.0.1:8000 --data dev-v1.1.json
    python examples/server/load.py --serve ARTIFACT --data dev-v1.1.json     (its profile against the default)

`--concurrency N` keeps N questions under way (closed loop); `--rate R` asks at random moments, R a second on average
(Poisson), however slow the answers are. With `--serve` both servers are there at once and take turns, round by round;
the ratio is the median over rounds. Server and clients share this machine, so ratios are worth more than times.
"""

import argparse
import asyncio
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from quantkit.tasks.squad import TASK, SquadQuestion

SERVER = Path(__file__).with_name("server.py")


@dataclass
class Outcome:
    """What one round saw; latencies in milliseconds, of answered questions alone."""

    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0
    mean_batch: float = 0.0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    @property
    def tail(self) -> float:
        """The latency that 99 % of the answers keep."""
        return float(np.percentile(self.latencies or [float("nan")], 99))

    def __str__(self) -> str:
        p50, p90 = np.percentile(self.latencies or [float("nan")], (50, 90))
        return (
            f"{self.rate:7.1f} /s   p50 {p50:7.1f}   p90 {p90:7.1f}   p99 {self.tail:7.1f} ms   "
            f"mean batch {self.mean_batch:4.1f}   refused {self.refused}"
        )


async def load(
    url: str, asked: Sequence[dict[str, str]], *, concurrency: int, rate: float | None, seed: int = 0
) -> Outcome:
    """Ask all questions: `rate` a second at random moments, or `concurrency` at a time."""
    outcome, dice = Outcome(), random.Random(seed)
    slots = asyncio.Semaphore(concurrency if rate is None else len(asked))
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits, trust_env=False) as client:

        async def ask(question: dict[str, str]) -> None:
            async with slots:
                started = time.perf_counter()
                response = await client.post("/answer", json={"rows": [question]})
                if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    outcome.refused += 1
                    return
                response.raise_for_status()
                outcome.latencies.append(1000 * (time.perf_counter() - started))

        before = batches((await client.get("/metrics")).text)
        started = time.perf_counter()
        tasks = []
        for question in asked:
            tasks.append(asyncio.create_task(ask(question)))
            if rate is not None:
                await asyncio.sleep(dice.expovariate(rate))
        await asyncio.gather(*tasks)
        outcome.seconds = time.perf_counter() - started
        after = batches((await client.get("/metrics")).text)
    outcome.mean_batch = (after[0] - before[0]) / max(1, after[1] - before[1])
    return outcome


def batches(text: str) -> tuple[float, float]:
    """Return how many windows ran so far, and in how many batches, from a server's metrics."""
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return found["quantkit_batch_size_sum"], found["quantkit_batch_size_count"]


def questions(path: Path, count: int, seed: int = 0) -> list[dict[str, str]]:
    """Return `count` questions of a SQuAD file, chosen at random, again from the start when there are too few."""
    questions = [
        question for question in TASK.read(path, path.stem).questions if isinstance(question, SquadQuestion)
    ]
    random.Random(seed).shuffle(questions)
    return [
        {"question": question.question, "context": question.context}
        for question in (questions[number % len(questions)] for number in range(count))
    ]


def serve(artifact: str, *options: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server on a free port and return it once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(SERVER), artifact, "--port", str(port), *options]
    process, url = subprocess.Popen(command), f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with exit code {process.returncode}")
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).is_success:
                return process, url
        except httpx.TransportError:
            time.sleep(0.1)
    process.kill()
    raise SystemExit("the server did not start within 120 seconds")


def compare(
    artifact: str, asked: Sequence[dict[str, str]], rounds: int, concurrency: int, rate: float | None
) -> None:
    """Take turns between the artifact's profile and the default; round 0 warms up."""
    servers = {"default": serve(artifact, "--default-profile"), "profile": serve(artifact)}
    seen: dict[str, list[Outcome]] = {name: [] for name in servers}
    try:
        for number in range(rounds + 1):
            # Who goes first changes from round to round.
            for name in list(servers)[:: 1 if number % 2 else -1]:
                url = servers[name][1]
                outcome = asyncio.run(load(url, asked, concurrency=concurrency, rate=rate, seed=number))
                if number:
                    print(f"{number} {name:8} {outcome}", flush=True)
                    seen[name].append(outcome)
    finally:
        for process, _ in servers.values():
            process.terminate()
            process.wait(30)
    pairs = list(zip(seen["profile"], seen["default"], strict=True))
    ratios = [profile.rate / default.rate for profile, default in pairs]
    tails = [profile.tail / default.tail for profile, default in pairs]
    for what, found in (("answers per second", ratios), ("p99", tails)):
        print(
            f"profile / default, {what}: {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
        )


def main() -> None:
    """Read the options and load."""
    parser = argparse.ArgumentParser(description="Load a question-answering server.")
    parser.add_argument("url", nargs="?", help="of a running server")
    parser.add_argument(
        "--serve", metavar="ARTIFACT", help="start two servers and compare profile and default"
    )
    parser.add_argument("--data", type=Path, required=True, help="questions, a file in SQuAD v1.1 format")
    parser.add_argument("--requests", type=int, default=200, help="questions per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rate", type=float, help="questions per second (Poisson) instead of a closed loop")
    given = parser.parse_args()
    if (given.url is None) == (given.serve is None):
        parser.error("give the URL of a server, or --serve ARTIFACT")
    asked = questions(given.data, given.requests)
    if given.serve:
        compare(given.serve, asked, given.rounds, given.concurrency, given.rate)
        return
    for number in range(given.rounds):
        print(number, asyncio.run(load(given.url, asked, concurrency=given.concurrency, rate=given.rate)))


if __name__ == "__main__":
    main()
