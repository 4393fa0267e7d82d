"""The bench itself: artifacts are opened, measured in interleaved rounds, and compared or refused."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.engines import open_engine
from quantkit.errors import UsageError
from quantkit.graph.saturation import saturation_warning
from quantkit.progress import track
from quantkit.recipe.settings import BenchSettings
from quantkit.records import BenchReport, BenchResult
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.hold import hold
from quantkit.stages.bench.profiles import profile_facts, profile_for
from quantkit.stages.bench.scenario import SCENARIOS
from quantkit.tasks.datasets import load
from quantkit.tasks.lengths import lengths_of
from quantkit.tasks.prepared import Reader
from quantkit.throughput import Rounds, Workload, measure_rounds, percentiles, sample, spread_of, workload

_LOG = logging.getLogger(__name__)
_TOOLS = ("onnxruntime", "tokenizers")


def bench(
    artifacts: Sequence[Artifact], *, settings: BenchSettings, data_dir: Path | None = None
) -> BenchReport:
    """Measure artifacts against the first of them.

    Args:
        artifacts: one or more, all for the same task. All are held in memory at once.
        settings: scenario, questions, rounds, and how the artifacts are run.
        data_dir: looked into first for the dataset.

    Returns:
        For each artifact, in order: windows per second (the median over rounds), the ratio to the first artifact, and
        latency percentiles where the scenario measures them. The verdict is `too noisy`, and ratios are missing, when
        the rounds do not agree well enough after the most rounds allowed.

    Raises:
        UsageError: no artifact, artifacts of different tasks, settings that contradict each other, an artifact that
            was not tuned, or a latency bound that does not hold at any rate.
        DatasetError: the dataset cannot be found or read.
        ArtifactError: a model cannot be opened.
        CheckpointError: a tokenizer is missing, or is not the model's.
        EvaluationError: a model cannot run a batch.
    """
    _require_comparable(artifacts)
    if settings.max_repeats < settings.repeats:
        raise UsageError(f"--max-repeats {settings.max_repeats}: is below --repeats {settings.repeats}")
    scenario = SCENARIOS[settings.scenario]
    profiles = [profile_for(artifact, settings, one_by_one=scenario.one_by_one) for artifact in artifacts]
    dataset = sample(load(settings.data, artifacts[0].task, data_dir), settings.questions)
    with ExitStack() as open_engines:
        loads = []
        for artifact, profile in zip(artifacts, profiles, strict=True):
            held = open_engines.enter_context(hold(artifact))
            prepared = Reader.of(held).prepare(dataset)
            outputs = prepared.reader.task.outputs
            if held.manifest.precision == "int8" and not profile.exact_int8:
                said = saturation_warning(held.model_path, outputs=outputs, name=held.model_name)
                if said:
                    _LOG.warning("%s", said)
            engine = open_engine(held.model_path, outputs=outputs, profile=profile, name=held.model_name)
            loads.append(workload(prepared, open_engines.enter_context(engine), profile))
        rounds = _measure(loads, settings)
    return BenchReport(
        scenario=settings.scenario,
        verdict="measured" if rounds.settled else "too noisy",
        dataset_name=dataset.name,
        dataset=dataset.digest,
        windows=loads[0].windows,
        repeats=len(rounds.rates[0]),
        threads=max(profile.instances * profile.threads for profile in profiles),
        max_spread=settings.max_spread,
        latency_bound_ms=settings.latency_bound if settings.scenario == "server" else None,
        results=tuple(
            _result(artifact, load, rounds, index)
            for index, (artifact, load) in enumerate(zip(artifacts, loads, strict=True))
        ),
        tools=tool_versions(*_TOOLS, *sorted({profile.runtime for profile in profiles} - set(_TOOLS))),
        cpu=cpu_facts().as_json(),
    )


def _require_comparable(artifacts: Sequence[Artifact]) -> None:
    if not artifacts:
        raise UsageError("nothing to measure; name one artifact or more")
    tasks = sorted({artifact.task for artifact in artifacts})
    if len(tasks) > 1:
        raise UsageError(f"artifacts for {' and '.join(tasks)} cannot be compared; choose those of one task")
    first = lengths_of(artifacts[0])
    for artifact in artifacts[1:]:
        if lengths_of(artifact) != first:
            raise UsageError(
                f"{artifact.place}: has rows of {lengths_of(artifact).max_length} tokens and {artifacts[0].place} of "
                f"{first.max_length}, or other windows; compare artifacts of the same lengths"
            )


def _measure(loads: Sequence[Workload], settings: BenchSettings) -> Rounds:
    scenario = SCENARIOS[settings.scenario](loads, settings)
    with track("bench", scenario.passes * (settings.repeats + 1), "passes") as advance:
        return measure_rounds(
            lambda: scenario.measure(advance),
            repeats=settings.repeats,
            max_repeats=settings.max_repeats,
            max_spread=settings.max_spread,
        )


def _result(artifact: Artifact, load: Workload, rounds: Rounds, index: int) -> BenchResult:
    ratios, noise = rounds.ratios(index), rounds.noise(index)
    return BenchResult(
        artifact=artifact.digest,
        name=artifact.path.name,
        precision=artifact.manifest.precision,
        parent=artifact.manifest.parent,
        qps=spread_of(rounds.rates[index]).median,
        latency_ms=percentiles(load.latencies),
        ratio=ratios.median if noise <= rounds.max_spread else None,
        spread=(ratios.low, ratios.high),
        interval=ratios.interval,
        noise=noise,
        rates=rounds.rates[index],
        profile=profile_facts(load.profile),
    )
