"""The stage: opens an artifact, tries profiles, and returns the profile with the report of how it was found."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.errors import EvaluationError, OutputError
from quantkit.progress import track
from quantkit.recipe.settings import TuneSettings
from quantkit.records.tune import TuneReport
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.hold import hold
from quantkit.runtime.openvino_session import openvino_installed
from quantkit.runtime.profile import RuntimeProfile
from quantkit.stages.tune.machine import HeldRate, Machine, Objective, offline
from quantkit.stages.tune.trials import Found, Trials, facts
from quantkit.tasks import Dataset
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Reader
from quantkit.throughput import sample

_QUESTIONS = 1000
_FEWEST, _FEWEST_SERVER = 24, 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuned:
    """The profile, and how it was found."""

    profile: RuntimeProfile
    report: TuneReport


def tune(artifact: Artifact, *, settings: TuneSettings, data_dir: Path | None = None) -> Tuned:
    """Find the profile that is fastest on this machine; nothing is written.

    Args:
        artifact: whose model is run.
        settings: data, seconds, cores, what to try.
        data_dir: looked into first for the dataset.

    Raises:
        DatasetError: the dataset cannot be found or read.
        ArtifactError: the model cannot be opened.
        CheckpointError: the tokenizer is missing, or is not the model's.
        UsageError: a runtime that was asked for is not installed.
        EvaluationError: the model cannot be run, or does not keep the latency bound.
    """
    dataset = sample(load(settings.data, artifact.task, data_dir), _QUESTIONS)
    with hold(artifact) as held:
        return _tune(held, dataset, settings)


def _tune(artifact: Artifact, dataset: Dataset, settings: TuneSettings) -> Tuned:
    prepared = Reader.of(artifact).prepare(dataset)
    installed = ("onnxruntime", "openvino") if openvino_installed() else ("onnxruntime",)
    runtimes = settings.runtimes or installed
    cores = settings.cores or cpu_facts().cores
    objective: Objective = offline
    if settings.latency_bound is not None:
        objective = HeldRate(settings.latency_bound / 1000, settings.seed)
    default = RuntimeProfile.here(instances=cores).model_copy(update={"runtime": runtimes[0]})
    # Where a one-thread instance is too slow for the latency bound, all cores in one may not be.
    references = [default, default.model_copy(update={"instances": 1, "threads": cores})]
    for place, reference in enumerate(references):
        machine = Machine(
            artifact.model_path,
            prepared,
            objective,
            reference,
            model_bytes=artifact.model_bytes,
            name=artifact.model_name,
        )
        try:
            with machine, track("tune", int(settings.budget), "s") as advance:
                trials = _trials(machine, prepared.lengths, reference, settings, advance)
                found = trials.run(
                    cores=cores,
                    runtimes=runtimes,
                    engines=settings.engines,
                    max_spread=settings.max_spread,
                )
        except EvaluationError:
            if settings.latency_bound is None or cores == 1 or place == len(references) - 1:
                raise
        else:
            return _tuned(artifact, settings, dataset, trials, found)
    raise AssertionError("the last reference returned or raised")


def require_place(artifact: Artifact) -> None:
    """Check, before time is spent, that a profile can be written into an artifact.

    Raises:
        OutputError: it is published, or read-only.
    """
    if artifact.manifest.reports:
        raise OutputError(
            f"{artifact.path}: is a published artifact, whose reports are sealed; tune before publishing, "
            "or write the profile elsewhere with -o FILE"
        )
    folder = artifact.report_path("runtime.json").parent
    if not os.access(folder if folder.is_dir() else artifact.path, os.W_OK):
        raise OutputError(f"{artifact.path}: cannot be written; write the profile elsewhere with -o FILE")


def _trials(
    machine: Machine,
    lengths: Sequence[int],
    reference: RuntimeProfile,
    settings: TuneSettings,
    advance: Callable[[int], None],
) -> Trials:
    fewest = _FEWEST if settings.latency_bound is None else _FEWEST_SERVER
    return Trials(
        reference=reference,
        measure=machine.measure,
        rows=len(lengths),
        fewest=min(fewest, len(lengths)),
        tokens=sum(lengths) / len(lengths),
        budget=settings.budget,
        clock=time.monotonic,
        advance=advance,
    )


def _tuned(
    artifact: Artifact, settings: TuneSettings, dataset: Dataset, trials: Trials, found: Found
) -> Tuned:
    scenario = "offline" if settings.latency_bound is None else "server"
    cpu = cpu_facts().as_json()
    ratio = found.ratios.median if found.sure else 1.0
    interval = found.ratios.interval if found.sure else (1.0, 1.0)
    seconds = round(trials.seconds, 1)
    report = TuneReport(
        artifact=artifact.digest,
        scenario=scenario,
        latency_bound_ms=settings.latency_bound,
        dataset_name=dataset.name,
        dataset=dataset.digest,
        seconds=seconds,
        reference=facts(trials.reference),
        chosen=facts(found.profile),
        qps=found.qps,
        ratio=ratio,
        interval=interval,
        sure=found.sure,
        settled=found.ratios.width <= settings.max_spread,
        trials=tuple(trials.done),
        skipped=tuple(trials.skipped),
        tools=tool_versions("onnxruntime", *({found.profile.runtime} - {"onnxruntime"})),
        cpu=cpu,
    )
    measured = {
        "scenario": scenario,
        "latency_bound_ms": settings.latency_bound,
        "qps": found.qps,
        "ratio": ratio,
        "interval": list(interval),
        "reference": report.reference,
        "dataset": dataset.digest,
        "artifact": artifact.digest,
        "seconds": seconds,
    }
    return Tuned(profile=found.profile.model_copy(update={"cpu": cpu, "measured": measured}), report=report)
