"""Where numbers come from: the file and the command of each that is there, the command of each that is missing."""

import shlex
from collections.abc import Iterator, Sequence

from quantkit.artifact.manifest import REPORTS
from quantkit.records import BenchReport
from quantkit.records.comparison import Entry, Missing, Provenance, ScoreSource
from quantkit.report.groups import score_name
from quantkit.stages.report.carried import Carried


def is_too_noisy(bench: BenchReport) -> bool:
    """Return whether a measurement says of itself that its ratios scatter too widely."""
    return bench.verdict == "too noisy" or any(result.ratio is None for result in bench.results)


def missing(
    entries: Sequence[Entry],
    carried: Sequence[Carried],
    source: ScoreSource | None,
    bench: BenchReport | None,
) -> tuple[Missing, ...]:
    """Name every gap and what fills it, the throughput once for all: they must be measured together."""
    every = " ".join(one.path for one in carried)
    gaps = [
        gap for entry, one in zip(entries, carried, strict=True) for gap in _gaps(entry, one, carried, source)
    ]
    without = [entry for entry in entries if entry.throughput is None]
    if without or (bench is not None and is_too_noisy(bench)):
        everywhere = not without or len(without) == len(entries)
        names = "all" if everywhere else ", ".join(entry.name for entry in without)
        number = "throughput" if without else "throughput gain (the run was too noisy)"
        one_digest = without[0].artifact if len(without) == 1 else ""
        gaps.append(
            Missing(artifact=one_digest, name=names, number=number, command=f"quantkit bench {every}")
        )
    return tuple(gaps)


def _gaps(
    entry: Entry, one: Carried, carried: Sequence[Carried], source: ScoreSource | None
) -> list[Missing]:
    data = f" --data {shlex.quote(source.dataset_name)}" if source else ""
    baseline = next((other.path for other in carried if other.digest == entry.reference), "FP32_ARTIFACT")
    if entry.teacher:
        originals = [other for other in carried if other.name == entry.teacher]
        baseline = f"{originals[0].path} --student"
    wanted: list[tuple[str, str]] = []
    if entry.score is None:
        wanted.append((score_name(one.artifact.task), f"quantkit evaluate {one.path}{data}"))
    if entry.parameters is None:
        wanted.append(("parameters", f"quantkit inspect {one.path}"))
    if entry.precision == "int8" and entry.gate is None:
        wanted.append(("gate", f"quantkit gate {one.path} --baseline {baseline}{data}"))
    if entry.precision == "int8" and entry.reference is None:
        every = " ".join(other.path for other in carried)
        wanted.append(("gain against its FP32", f"quantkit report FP32_ARTIFACT {every}"))
    return [Missing(artifact=one.digest, name=one.name, number=n, command=command) for n, command in wanted]


def provenance(
    carried: Sequence[Carried], source: ScoreSource | None, bench: BenchReport | None
) -> list[Provenance]:
    """Say of every number that is shown which file it is from, and which command makes it."""
    found = [origin for one in carried for origin in _of_artifact(one, source)]
    if bench is None:
        return found
    paths = {one.digest: one.path for one in carried}
    measured = " ".join(paths.get(result.artifact, shlex.quote(result.name)) for result in bench.results)
    carrier = next((f"{one.name}/{REPORTS}/bench.json" for one in carried if one.bench is bench), "--bench")
    made = Provenance(
        name="all",
        number="throughput",
        file=carrier,
        command=f"quantkit bench {measured} --scenario {bench.scenario} --data {shlex.quote(bench.dataset_name)} "
        f"--repeats {bench.repeats} {_how(bench)}",
        tools=bench.tools,
        cpu=bench.cpu,
    )
    return [*found, made]


def _how(bench: BenchReport) -> str:
    """Return the options of a measurement, or that each artifact had its own profile."""
    first = bench.results[0].profile
    if any(result.profile != first for result in bench.results):
        return "--profile tuned"
    named = ("runtime", "engine", "instances", "token_budget")
    more = [f"--{name.replace('_', '-')} {first[name]}" for name in named if name in first]
    equal = ["--equal-lengths"] if first.get("equal_lengths") else []
    exact = ["--exact-int8"] if "int8_products" in first else []
    return " ".join([f"--threads {bench.threads}", *more, *equal, *exact])


def _of_artifact(one: Carried, source: ScoreSource | None) -> Iterator[Provenance]:
    data = f" --data {shlex.quote(source.dataset_name)}" if source else ""
    last = one.artifact.manifest.stages[-1:]
    for record in last:
        command = f"quantkit {record.stage} … -o {one.path}"
        yield Provenance(
            name=one.name,
            number="the model and its size",
            file="manifest.json",
            command=command,
            tools=record.tools,
            cpu=record.cpu,
        )
    scored = one.scored(source)
    if scored is not None:
        yield Provenance(
            name=one.name,
            number=score_name(one.artifact.task),
            file=f"{REPORTS}/{scored[0]}",
            command=f"quantkit evaluate {one.path}{data}",
            tools=scored[1].tools,
            cpu=scored[1].cpu,
        )
    if one.inspection is not None:
        yield Provenance(
            name=one.name,
            number="parameters, INT8 coverage",
            file=f"{REPORTS}/inspection.json",
            command=f"quantkit inspect {one.path}",
            tools=one.inspection.tools,
        )
    if one.gate is not None:
        student = "--student " if one.gate.settings.get("student") else ""
        yield Provenance(
            name=one.name,
            number="gate",
            file=f"{REPORTS}/gate.json",
            command=f"quantkit gate {one.path} --baseline … --data {shlex.quote(one.gate.dataset_name)} "
            f"{student}--policy {one.gate.policy} --min-ratio {one.gate.min_ratio:g}",
            tools=one.gate.tools,
        )
