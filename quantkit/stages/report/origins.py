"""Where numbers come from: the file and the command of each that is there, the command of each that is missing."""

import shlex
from collections.abc import Iterator, Sequence

from quantkit.artifact.manifest import REPORTS
from quantkit.report import BenchReport
from quantkit.report.comparison import Entry, Missing, Provenance, ScoreSource
from quantkit.report.groups import score_name
from quantkit.stages.report.carried import Carried


def missing(
    entry: Entry, one: Carried, carried: Sequence[Carried], source: ScoreSource | None
) -> list[Missing]:
    """Name every gap of an artifact and what fills it."""
    data = f" --data {shlex.quote(source.dataset_name)}" if source else ""
    baseline = next((other.path for other in carried if other.digest == entry.reference), "FP32_ARTIFACT")
    every = " ".join(other.path for other in carried)
    wanted = (
        (score_name(one.artifact.task), entry.score, f"quantkit evaluate {one.path}{data}"),
        ("parameters", entry.parameters, f"quantkit inspect {one.path}"),
        ("throughput", entry.throughput, f"quantkit bench {every}"),
    )
    gaps = [(number, command) for number, value, command in wanted if value is None]
    if entry.precision == "int8" and entry.gate is None:
        gaps.append(("gate", f"quantkit gate {one.path} --baseline {baseline}{data}"))
    if entry.precision == "int8" and entry.reference is None:
        gaps.append(("gain against its FP32", f"quantkit report FP32_ARTIFACT {every}"))
    return [
        Missing(artifact=one.digest, name=one.name, number=number, command=command)
        for number, command in gaps
    ]


def provenance(
    carried: Sequence[Carried], source: ScoreSource | None, run: BenchReport | None
) -> list[Provenance]:
    """Say of every number that is shown which file it is from, and which command makes it."""
    found = [origin for one in carried for origin in _of_artifact(one, source)]
    if run is None:
        return found
    paths = {one.digest: one.path for one in carried}
    measured = " ".join(paths.get(result.artifact, shlex.quote(result.name)) for result in run.results)
    carrier = next((f"{one.name}/{REPORTS}/bench.json" for one in carried if one.bench is run), "--bench")
    made = Provenance(
        name="all",
        number="throughput",
        file=carrier,
        command=f"quantkit bench {measured} --scenario {run.scenario} --data {shlex.quote(run.dataset_name)} "
        f"--repeats {run.repeats} --threads {run.threads}",
        tools=run.tools,
        cpu=run.cpu,
    )
    return [*found, made]


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
        yield Provenance(
            name=one.name,
            number="gate",
            file=f"{REPORTS}/gate.json",
            command=f"quantkit gate {one.path} --baseline … --data {shlex.quote(one.gate.dataset_name)} "
            f"--policy {one.gate.policy} --min-ratio {one.gate.min_ratio:g}",
            tools=one.gate.tools,
        )
