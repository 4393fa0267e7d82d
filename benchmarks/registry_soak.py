"""Publish, pull and verify for minutes: writers and readers at once on one registry, writers killed on the way.

    python benchmarks/registry_soak.py ARTIFACT --work DIR --registry directory --cycles 500 --kill-every 5
    python benchmarks/registry_soak.py ARTIFACT --work DIR --registry oci       --cycles 500 --kill-every 5

ARTIFACT has passed its gate. A cycle publishes it as a version of its own, pulls that, and verifies registry and copy.
The cycles are divided among the writers, each a process; every tenth version two of them want, at the same time.
Readers, processes too, list the registry, and verify or pull a version of those there are, until the writers are done.
Every so many seconds a writer is ended with `kill -9` and begun again where it was. `oci` is Debian's
`docker-registry`, which is started on loopback; `oci://host/path` is another one.

Counted as wrong: a version that does not verify, is not the artifact or not of its name, or whose copy is not; a
version that a reader saw and that is gone; in a folder, two publishers who both were told that they published. Counted
as lost: a version that a writer was told is published, and that is not there at the end, or other files that stayed
in the folder. Ends with exit code 1 when there is any.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.artifact import Artifact
from quantkit.errors import QuantkitError
from quantkit.registry import open_registry
from quantkit.registry.protocol import Registry

_NAME = "soak"
_SHARED = 10  # every tenth version two writers want


@dataclass(frozen=True, kw_only=True, slots=True)
class Soak:
    """What every process knows.

    Attributes:
        artifact: that is published.
        registry: a folder, or `oci://host/path`.
        work: for copies and journals.
        cycles: versions altogether.
        writers: how many share them.
        seed: of what readers choose.
    """

    artifact: Path
    registry: str
    work: Path
    cycles: int
    writers: int
    seed: int

    def wanted(self, writer: int) -> list[int]:
        """Return the versions that a writer publishes; a shared one is its neighbour's too."""
        return [
            number
            for number in range(self.cycles)
            if number % self.writers == writer
            or (number % _SHARED == 0 and (number + 1) % self.writers == writer)
        ]

    def journal(self, process: str) -> Path:
        """Return the file that a process writes what it did to, one JSON a line."""
        return self.work / f"{process}.jsonl"


def note(path: Path, **what: Any) -> None:
    """Add a line to a journal, whole or not at all."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(handle, json.dumps(what).encode() + b"\n")
    finally:
        os.close(handle)


def notes(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def write(soak: Soak, writer: int) -> None:
    """Publish, pull and verify every version of this writer that its journal does not have as done."""
    journal = soak.journal(f"writer-{writer}")
    done = {line["version"] for line in notes(journal) if line["did"] == "cycle"}
    artifact, registry = Artifact.open(soak.artifact), open_registry(soak.registry)
    for number in soak.wanted(writer):
        version = str(number)
        if version in done:
            continue
        started = time.perf_counter()
        try:
            registry.publish(artifact, name=_NAME, version=version)
            note(journal, did="publish", version=version, seconds=time.perf_counter() - started)
        except QuantkitError as error:
            # One's own from before a kill, or another's: either way it must be there, and right.
            note(journal, did="refused", version=version, said=str(error)[:200])
        read(soak, registry, version, journal, pull=True)
        read(soak, registry, version, journal, pull=False)
        note(journal, did="cycle", version=version, seconds=time.perf_counter() - started)


def read(soak: Soak, registry: Registry, version: str, journal: Path, *, pull: bool) -> None:
    """Pull or verify a version and note what is wrong with it."""
    digest = Artifact.open(soak.artifact, check=False).digest
    started, did, reference = time.perf_counter(), "pull" if pull else "verify", f"{_NAME}:{version}"
    problem = None
    try:
        if pull:
            copy = soak.work / f"copy-{os.getpid()}"
            problem = (
                None if registry.pull(reference, copy, force=True).digest == digest else "another artifact"
            )
            Artifact.open(copy)
        else:
            found = registry.verify(reference)
            right = found.artifact == digest and found.release == reference
            problem = found.problem or (None if right else f"is {found.release}, {found.artifact[:12]}")
    except QuantkitError as error:
        problem = str(error)
    note(journal, did=did, version=version, seconds=time.perf_counter() - started)
    if problem:
        note(journal, did="wrong", version=version, said=problem[:300])


def keep_reading(soak: Soak, reader: int) -> None:
    """Verify and pull versions, chosen by chance, until it is told to end."""
    dice = random.Random(f"{soak.seed}-{reader}")  # noqa: S311 - chooses what is read
    journal, registry = soak.journal(f"reader-{reader}"), open_registry(soak.registry)
    seen: set[str] = set()
    while not (soak.work / "over").exists():
        try:
            there = (
                {release.version for release in registry.releases(_NAME)}
                if dice.random() < 0.03 or not seen
                else seen
            )
        except QuantkitError as error:
            note(journal, did="wrong", version="", said=str(error)[:300])
            continue
        for gone in seen - there:
            note(journal, did="wrong", version=gone, said="was there and is gone")
        seen = there
        if not seen:
            time.sleep(0.1)
            continue
        read(soak, registry, dice.choice(sorted(seen)), journal, pull=dice.random() < 0.5)


def run(soak: Soak, readers: int, kill_every: float) -> dict[str, Any]:
    """Run all processes and return what was counted."""
    context = multiprocessing.get_context("fork")
    reading = [context.Process(target=keep_reading, args=(soak, reader)) for reader in range(readers)]
    writing = [context.Process(target=write, args=(soak, writer)) for writer in range(soak.writers)]
    dice, killed, crashed = random.Random(soak.seed), 0, 0  # noqa: S311 - picks who is killed
    started = time.monotonic()
    for process in (*reading, *writing):
        process.start()
    next_kill = time.monotonic() + (kill_every or float("inf"))
    while any(process.is_alive() or process.exitcode for process in writing):
        time.sleep(0.05)
        for number, process in enumerate(writing):
            if process.exitcode:
                crashed += process.exitcode != -signal.SIGKILL
                if crashed > soak.writers:
                    raise RuntimeError("writers end by themselves; see the lines above")
                writing[number] = context.Process(target=write, args=(soak, number))
                writing[number].start()
        alive = [process for process in writing if process.is_alive()]
        if time.monotonic() > next_kill and alive:
            dice.choice(alive).kill()
            killed += 1
            next_kill = time.monotonic() + dice.uniform(0.5, 1.5) * kill_every
    seconds = time.monotonic() - started
    (soak.work / "over").touch()
    for process in reading:
        process.join()
        crashed += bool(process.exitcode)
    return counted(soak, readers) | {
        "seconds": round(seconds, 1),
        "cycles_per_second": round(soak.cycles / seconds, 2),
        "killed": killed,
        "crashed": crashed,
    }


def counted(soak: Soak, readers: int) -> dict[str, Any]:
    """Return what the journals say, and what is in the registry at the end."""
    writers = [notes(soak.journal(f"writer-{number}")) for number in range(soak.writers)]
    lines = [line for journal in writers for line in journal]
    lines += [line for number in range(readers) for line in notes(soak.journal(f"reader-{number}"))]
    told = [line["version"] for line in lines if line["did"] == "publish"]
    registry = open_registry(soak.registry)
    there = {release.version for release in registry.releases(_NAME)}
    wanted = {str(number) for number in range(soak.cycles)}
    wrong = [f"{line['version']}: {line['said']}" for line in lines if line["did"] == "wrong"]
    twice = sorted({version for version in told if told.count(version) > 1})
    if not soak.registry.startswith("oci://"):
        wrong += [f"{version}: two were told that they published" for version in twice]
    problems = [
        found for version in sorted(there) if (found := registry.verify(f"{_NAME}:{version}").problem)
    ]
    return {
        "registry": "oci" if soak.registry.startswith("oci://") else "directory",
        "cycles": soak.cycles,
        "published": len(there),
        "shared": sum(number % _SHARED == 0 for number in range(soak.cycles)),
        "told_twice": len(twice),
        "refused": sum(line["did"] == "refused" for line in lines),
        "pulls": sum(line["did"] == "pull" for line in lines),
        "verifies": sum(line["did"] == "verify" for line in lines),
        **{f"{did}_ms": _milliseconds(lines, did) for did in ("publish", "pull", "verify")},
        "lost": sorted(wanted - there) + leftovers(soak),
        "unwanted": sorted(there - wanted),
        "wrong": wrong + problems,
    }


def leftovers(soak: Soak) -> list[str]:
    """Return what is in a folder beside versions, once a publisher has cleared away what killed ones left."""
    if soak.registry.startswith("oci://"):
        return []
    folder = Path(soak.registry) / _NAME
    open_registry(soak.registry).publish(Artifact.open(soak.artifact), name=_NAME, version="last")
    shutil.rmtree(folder / "last")
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock" and not path.name.isdigit())


def _milliseconds(lines: Sequence[dict[str, Any]], did: str) -> list[float]:
    """Return the median and the 95th percentile."""
    times = sorted(1000 * line["seconds"] for line in lines if line["did"] == did)
    return (
        [round(statistics.median(times), 1), round(times[int(0.95 * (len(times) - 1))], 1)] if times else []
    )


@contextlib.contextmanager
def docker_registry(folder: Path) -> Iterator[str]:
    """Run Debian's registry on loopback with its data in a folder, and yield `oci://…`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True)
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"oci://localhost:{port}/models"
    finally:
        server.kill()
        server.wait()


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder that does not exist yet")
    parser.add_argument("--registry", default="directory", help="directory, oci, or oci://host/path")
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument(
        "--kill-every", type=float, default=0.0, help="seconds between kills; 0: nobody is killed"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main() -> int:
    """Run and print; return the exit code."""
    options = read_options()
    options.work.mkdir(parents=True)
    os.environ["QUANTKIT_CACHE"] = str(options.work / "cache")
    with contextlib.ExitStack() as stack:
        place = options.registry
        if place == "directory":
            place = str(options.work / "registry")
        elif place == "oci":
            place = stack.enter_context(docker_registry(options.work / "server"))
        soak = Soak(
            artifact=options.artifact,
            registry=place,
            work=options.work,
            cycles=options.cycles,
            writers=options.writers,
            seed=options.seed,
        )
        found = run(soak, options.readers, options.kill_every)
    found |= {"writers": options.writers, "readers": options.readers, "cpu": _cpu()}
    found["passed"] = not (found["lost"] or found["wrong"] or found["unwanted"] or found["crashed"])
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:20} {value}")
    return 0 if found["passed"] else 1


def _cpu() -> str:
    from quantkit.runtime.cpu import cpu_facts

    return f"{cpu_facts().model}, {os.cpu_count()} cores"


if __name__ == "__main__":
    sys.exit(main())
