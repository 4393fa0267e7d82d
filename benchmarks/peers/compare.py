"""quantkit beside the other tools: same checkpoint, same questions, same threads, one table.

    python benchmarks/peers/compare.py EXPORTED FUSED --calib FILE --work DIR --data-dir DIR
        [--quantkit NAME=ARTIFACT …] [--openvino NAME=ARTIFACT …] [--checkpoint DIR] [--only WORD …] [--limit N]

EXPORTED and FUSED are the FP32 artifacts of one checkpoint (`quantkit export --no-fuse`, `quantkit fuse`); FUSED in
onnxruntime is the baseline. Every peer quantizes EXPORTED in an environment of its own, which is built from
`requirements/` when it is not there. The table is printed and kept in DIR as comparison.md, everything else as
comparison.json. A peer that fails is a row that says so. What was made and scored in DIR before is not done again.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from artifacts import PEERS, Made, Peer, Task, make, own
from environments import Environment, PeerFailed, build
from rows import Row, Scores, against, changed_share, markdown, percent
from scoring import (
    TOKEN_BUDGET,
    Exam,
    coverage_onnxruntime,
    make_exam,
    score_onnxruntime,
    score_openvino,
    write_batches,
)

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.errors import QuantkitError
from quantkit.files import cache_folder, digest_of, pretty_json, sha256_file, write_json, write_text
from quantkit.graph.mask_free import write_mask_free
from quantkit.runtime.cpu import cpu_facts
from quantkit.tasks.calibration_set import select
from quantkit.tasks.datasets import load
from quantkit.throughput import sample

BASELINE = "FP32, fused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    exported: Path
    fused: Path
    calib: str
    calib_questions: int
    data: str
    data_dir: Path | None
    limit: int | None
    checkpoint: Path | None
    work: Path
    environments: Path
    quantkit: list[tuple[str, Path]]
    openvino: list[tuple[str, Path]]
    openvino_precision: str | None
    openvino_fp32: bool
    equal_lengths: bool
    only: list[str] | None
    threads: int
    rounds: int
    questions: int
    timeout: float


def named(text: str) -> tuple[str, Path]:
    """Read NAME=ARTIFACT."""
    name, sign, path = text.partition("=")
    if not (name and sign and path):
        raise argparse.ArgumentTypeError(f"{text}: give NAME=ARTIFACT")
    return name, Path(path)


def read_options() -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("exported", type=Path, help="FP32 artifact, not fused")
    add("fused", type=Path, help="FP32 artifact, fused: the baseline")
    add("--calib", required=True, help="calibration questions of the peers: a SQuAD-format file, or a set")
    add("--calib-questions", type=int, default=100, help="questions to calibrate on")
    add("--data", default="squad", help="questions to answer")
    add("--data-dir", type=Path, help="where datasets are")
    add("--limit", type=int, help="only the first questions, while developing")
    add("--checkpoint", type=Path, help="PyTorch checkpoint, for the peer that reads no ONNX (left out else)")
    add("--work", type=Path, required=True, help="folder for what is made and measured")
    add("--environments", type=Path, default=cache_folder() / "peers", help="folder of the environments")
    add(
        "--quantkit",
        type=named,
        action="append",
        default=[],
        metavar="NAME=ARTIFACT",
        help="run by onnxruntime",
    )
    add(
        "--openvino", type=named, action="append", default=[], metavar="NAME=ARTIFACT", help="run by OpenVINO"
    )
    add(
        "--openvino-precision",
        choices=("f32", "bf16"),
        help="OpenVINO's precision hint; its own default else",
    )
    add("--openvino-fp32", action="store_true", help="EXPORTED in OpenVINO as a row, too")
    add(
        "--equal-lengths",
        action="store_true",
        help="only rows of one length share a batch, and quantkit's artifacts run without an attention mask",
    )
    add("--only", action="append", metavar="WORD", help="only peers with this word in their name")
    add("--threads", type=int, default=2, help="workers of one thread each")
    add("--rounds", type=int, default=7, help="interleaved rounds of the throughput; 0 leaves it out")
    add("--questions", type=int, default=200, help="questions of a round")
    add("--timeout", type=float, default=3600.0, help="seconds a peer may take for one step")
    return Options(**vars(parser.parse_args()))


class Comparison:
    """The work of one comparison; everything expensive is kept in the work folder."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.exported, self.fused = Artifact.open(options.exported), Artifact.open(options.fused)
        dataset = load(options.data, self.fused.task, options.data_dir)
        self.dataset = dataset if options.limit is None else dataset.limit(options.limit)
        calib = select(options.calib, self.fused.task, options.calib_questions, options.data_dir)
        self.calibration_digest = calib.dataset.digest
        options.work.mkdir(parents=True, exist_ok=True)
        self.task = Task(
            exported=self.exported,
            calibration=options.work / "calibration.npz",
            checkpoint=options.checkpoint,
            work=options.work,
            timeout=options.timeout,
        )
        write_batches(make_exam(self.exported, calib.dataset, token_budget=1), self.task.calibration)
        self._environments: dict[str, Environment | PeerFailed] = {}

    @cached_property
    def exam(self) -> Exam:
        """The questions all artifacts answer."""
        return make_exam(self.fused, self.dataset, equal_lengths=self.options.equal_lengths)

    @cached_property
    def batches(self) -> Path:
        """The exam's batches, for OpenVINO."""
        path = self.options.work / "batches.npz"
        write_batches(self.exam, path)
        return path

    def environment(self, name: str) -> Environment:
        """Return an environment, built once; a failure is remembered.

        Raises:
            PeerFailed: it cannot be built.
        """
        if name not in self._environments:
            tell(f"environment {name}")
            try:
                self._environments[name] = build(name, self.options.environments)
            except PeerFailed as error:
                self._environments[name] = error
        found = self._environments[name]
        if isinstance(found, PeerFailed):
            raise PeerFailed(f"its environment was not built: {found}")
        return found

    def artifacts(self) -> tuple[list[Made], list[Row]]:
        """Return all artifacts, the baseline first, and rows of those that could not be made."""
        options = self.options
        made, failed = [own(BASELINE, self.fused, "onnxruntime")], []
        for peer in PEERS:
            if not self._wanted(peer):
                continue
            tell(f"quantize {peer.name}")
            try:
                made.append(make(peer, self.task, self.environment))
            except PeerFailed as error:
                failed.append(Row(name=peer.name, runtime=peer.runtime, error=str(error)))
        if options.openvino_fp32:
            made.append(own("FP32, not fused", self.exported, "openvino"))
        made += [self._own(name, path, "onnxruntime") for name, path in options.quantkit]
        made += [self._own(name, path, "openvino") for name, path in options.openvino]
        return made, failed

    def _own(self, name: str, path: Path, runtime: str) -> Made:
        """Return a quantkit artifact to compare, as the engine would open it for these batches."""
        made = own(name, Artifact.open(path), runtime)
        if not self.options.equal_lengths:
            return made
        folder = self.options.work / "mask-free" / made.model.parent.name
        return replace(made, model=write_mask_free(made.model.resolve(), folder))

    def _wanted(self, peer: Peer) -> bool:
        words = self.options.only
        chosen = words is None or any(word in peer.name for word in words)
        return chosen and not (peer.from_checkpoint and self.options.checkpoint is None)

    def examine(self, artifact: Made) -> tuple[Scores, Row]:
        """Return the scores of an artifact and its row so far, from the work folder when they are there.

        Raises:
            PeerFailed: OpenVINO cannot run it.
            QuantkitError: onnxruntime cannot run it.
        """
        kept = self.options.work / "scores" / f"{self._score_key(artifact)}.json"
        if not kept.is_file():
            tell(f"evaluate {artifact.name}")
            write_json(kept, self._measure(artifact))
        found = json.loads(kept.read_text(encoding="utf-8"))
        scores = Scores(f1=tuple(found["f1"]), exact_match=tuple(found["exact_match"]))
        row = Row(
            name=artifact.name,
            runtime=artifact.runtime,
            precision=found["precision"],
            f1=percent(scores.f1),
            exact_match=percent(scores.exact_match),
            coverage=found["coverage"],
            cost=artifact.cost,
            size_mb=artifact.size_mb,
            error=found["error"],
        )
        return scores, row

    def _score_key(self, artifact: Made) -> str:
        return digest_of(
            {
                "model": [
                    sha256_file(path)
                    for path in sorted(artifact.model.parent.iterdir())
                    if path.name.startswith(artifact.model.stem)
                ],
                "runtime": artifact.runtime,
                "precision": self.options.openvino_precision if artifact.runtime == "openvino" else None,
                "dataset": self.dataset.digest,
                "budget": [TOKEN_BUDGET, "equal lengths"] if self.options.equal_lengths else TOKEN_BUDGET,
                "tools": tool_versions("onnxruntime", "numpy"),
            }
        )

    def _measure(self, artifact: Made) -> dict[str, Any]:
        if artifact.runtime == "openvino":
            scores, facts = score_openvino(
                self.environment("openvino"),
                artifact.model,
                self.exam,
                self.batches,
                self._openvino_arguments(),
                self.options.timeout,
            )
            more = {"precision": facts["precision"], "coverage": 100.0 * facts["coverage"], "error": None}
        else:
            scores = score_onnxruntime(artifact.model, self.exam, self.options.threads)
            more = {"precision": None, "coverage": None, "error": None}
            try:
                more["coverage"] = coverage_onnxruntime(artifact.model, self.exam)
            except QuantkitError as error:
                more["error"] = f"its coverage is not known: {error}"
        return {**asdict(scores), **more}

    def _openvino_arguments(self) -> list[str]:
        hint = self.options.openvino_precision
        return ["--threads", str(self.options.threads), *(["--precision", hint] if hint else [])]

    def throughput(self, artifacts: Sequence[Made]) -> dict[str, list[float]]:
        """Return the seconds of every round of every artifact, all artifacts in one interleaved measurement.

        Raises:
            PeerFailed: the run failed.
        """
        tell(f"throughput of {len(artifacts)} artifacts, {self.options.rounds} rounds")
        work = self.options.work
        part = make_exam(
            self.fused,
            sample(load(self.options.data, self.fused.task, self.options.data_dir), self.options.questions),
            equal_lengths=self.options.equal_lengths,
        )
        write_batches(part, work / "throughput.npz")
        spec = {
            "batches": str(work / "throughput.npz"),
            "rounds": self.options.rounds,
            "threads": self.options.threads,
            "precision": self.options.openvino_precision,
            "artifacts": [
                {"key": artifact.key, "runtime": artifact.runtime, "path": str(artifact.model)}
                for artifact in artifacts
            ],
        }
        write_json(work / "throughput.json", spec)
        found = self.environment("openvino").run(
            "runners/measure.py", [work / "throughput.json"], timeout=100 * self.options.timeout
        )
        seconds: dict[str, list[float]] = found["seconds"]
        return seconds

    def versions(self) -> dict[str, dict[str, str]]:
        """Return the packages of every environment that was used."""
        return {
            name: found.versions()
            for name, found in self._environments.items()
            if isinstance(found, Environment)
        }


def compare(options: Options) -> list[Row]:
    """Do the whole comparison and write it."""
    comparison = Comparison(options)
    made, failed = comparison.artifacts()
    baseline, _ = comparison.examine(made[0])
    rows: list[Row] = []
    running: list[Made] = []
    for artifact in made:
        try:
            scores, row = comparison.examine(artifact)
        except (PeerFailed, QuantkitError) as error:
            failed.append(
                Row(name=artifact.name, runtime=artifact.runtime, cost=artifact.cost, error=str(error))
            )
            continue
        ratio = 100.0 * percent(scores.f1) / percent(baseline.f1)
        rows.append(replace(row, ratio=ratio, changed=changed_share(scores, baseline)))
        running.append(artifact)
    seconds: dict[str, list[float]] = {}
    if options.rounds:
        seconds = comparison.throughput(running)
        for index, artifact in enumerate(running):
            middle, spread = against(seconds[artifact.key], seconds[made[0].key])
            rows[index] = replace(rows[index], throughput=middle, spread=spread)
    rows += failed
    report = {
        "schema": "quantkit/benchmark-peers/1",
        "made": time.strftime("%FT%TZ", time.gmtime()),
        "checkpoint": comparison.exported.digest,
        "dataset": comparison.dataset.digest,
        "questions": len(comparison.dataset.questions),
        "calibration": comparison.calibration_digest,
        "threads": options.threads,
        "equal_lengths": options.equal_lengths,
        "rounds": options.rounds,
        "seconds": seconds,
        "rows": [asdict(row) for row in rows],
        "cpu": cpu_facts().as_json(),
        "tools": {"quantkit": tool_versions("onnxruntime", "onnx", "numpy"), **comparison.versions()},
    }
    write_text(options.work / "comparison.json", pretty_json(report))
    write_text(options.work / "comparison.md", markdown(rows))
    return rows


def tell(what: str) -> None:
    """Say on stderr what is being done."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def main() -> int:
    """Compare and print the table."""
    options = read_options()
    try:
        print(markdown(compare(options)), end="")
    except (PeerFailed, QuantkitError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
