"""All runs of one artifact, and the submission made of them: whole or not at all.

For each scenario: an accuracy run, from whose speed follows what LoadGen is told in the performance run that comes
next. Each run has a process of its own. One that fails ends everything, and nothing is left behind.
"""

import shlex
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.errors import UsageError
from quantkit.files import new_folder, require_free, sha256_bytes, write_json
from quantkit.mlperf.accuracy import Score, read_answers, score
from quantkit.mlperf.check import check_submission, verdict_of
from quantkit.mlperf.detail_log import ACCURACY, DETAIL, DetailLog
from quantkit.mlperf.finished import FinishedScenario
from quantkit.mlperf.isolation import run_alone
from quantkit.mlperf.loadgen_job import LOGS, LoadgenJob
from quantkit.mlperf.loadgen_run import loadgen
from quantkit.mlperf.rules import OFFLINE_SLACK, ScenarioName
from quantkit.mlperf.samples import SampleLibrary
from quantkit.mlperf.settings import Entry, MlperfSettings, Request
from quantkit.mlperf.submission import submission_root, system_folder, write_submission
from quantkit.mlperf.system_description import missing_fields
from quantkit.mlperf.user_conf import Load, user_conf
from quantkit.records.gate import Check
from quantkit.records.mlperf import AccuracyRun, MlperfReport, PerformanceRun, ScenarioRuns
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.hold import hold
from quantkit.runtime.profile import RuntimeProfile
from quantkit.tasks import WindowSettings
from quantkit.tasks.datasets import load
from quantkit.tasks.lengths import lengths_of
from quantkit.tasks.prepared import Prepared, Reader

REPORT = "mlperf.json"
_TASK = "squad"
_TOOLS = ("onnxruntime", "mlcommons-loadgen", "tokenizers", "numpy")
_ESTIMATE, _QUICK_ESTIMATE = 3.0, 0.5
"""Seconds that the speed is estimated over, where there is no accuracy run."""
_HEADROOM = 1.1
"""Offline is asked for this much more than was estimated: one query too short makes the whole run invalid."""
_HASTE = 0.8
"""SingleStream is told this share of the estimated latency, for the same reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bench:
    """What all runs share: the model, the questions, and a folder to work in."""

    artifact: Artifact
    prepared: Prepared
    settings: MlperfSettings
    profile: RuntimeProfile
    folder: Path
    command: str

    @property
    def samples_file(self) -> Path:
        """Where the sample library is."""
        return self.folder / "samples.npz"

    def job(self, scenario: ScenarioName, mode: Any, conf: Path | None) -> LoadgenJob:
        """Return the job of one run."""
        return LoadgenJob(
            model=str(self.artifact.model_path.resolve()),
            model_name=str(self.artifact.place),
            outputs=self.prepared.reader.task.outputs,
            pad_id=self.prepared.pad_id,
            samples=str(self.samples_file),
            scenario=scenario,
            mode=mode,
            user_conf="" if conf is None else str(conf),
            profile=profile_for(scenario, self.profile),
            estimate_seconds=_QUICK_ESTIMATE if self.settings.quick else _ESTIMATE,
        )

    def run(self, scenario: ScenarioName, mode: Any, conf: Path | None, expected: int) -> tuple[Path, Any]:
        """Do one run; return the folder of its logs, and the outcome."""
        folder = self.folder / f"{scenario}-{mode}"
        folder.mkdir()
        return folder / LOGS, run_alone(self.job(scenario, mode, conf), folder, expected=expected)


def mlperf(
    artifact: Artifact, out: Path, request: Request, *, data_dir: Path | None = None, force: bool = False
) -> MlperfReport:
    """Run LoadGen on an artifact and write a submission.

    Args:
        artifact: opened, and so checked byte by byte; made for SQuAD.
        out: a new folder: the submission tree, `mlperf.json`, and the whole logs of answers.
        request: what to run, and whose it is.
        data_dir: looked into first for the dataset.
        force: replace the submission that is at `out`.

    Raises:
        UsageError: the artifact is for another task, LoadGen is not installed, or the system description of what may
            be a result lacks fields.
        DatasetError: the dataset cannot be found or read.
        EvaluationError: a run failed.
        OutputError: `out` cannot be written.
    """
    if artifact.task != _TASK:
        raise UsageError(
            f"{artifact.path}: is for {artifact.task}; MLPerf's BERT answers questions ({_TASK})"
        )
    lengths = lengths_of(artifact)
    if lengths != WindowSettings():
        raise UsageError(
            f"{artifact.path}: its rows have {lengths.max_length} tokens and advance by {lengths.doc_stride}; MLPerf's "
            "rules for BERT ask for 384 and 128, and for the other lengths as they are by default: export it so"
        )
    reasons = request.settings.reasons()
    if not reasons:
        _require_whole(request.entry)
    loadgen()
    require_free(out, force=force)
    with (
        hold(artifact) as held,
        new_folder(out, force=force) as temporary,
        tempfile.TemporaryDirectory(prefix="quantkit-") as work,
    ):
        bench = _bench(held, request, data_dir, Path(work).resolve())
        results = [
            _run_scenario(bench, scenario, reasons) for scenario in dict.fromkeys(bench.settings.scenarios)
        ]
        write_submission(
            temporary,
            held,
            entry=request.entry,
            benchmark=bench.settings.benchmark,
            finished=tuple(finished for finished, _ in results),
            reasons=reasons,
        )
        checks = check_submission(submission_root(temporary, reasons), request.reference)
        report = _report(bench, request, tuple(runs for _, runs in results), checks)
        write_json(temporary / REPORT, report.as_json())
    return report


def _bench(artifact: Artifact, request: Request, data_dir: Path | None, folder: Path) -> _Bench:
    settings = request.settings.sized()
    dataset = load(settings.data, _TASK, data_dir)
    dataset = dataset if settings.limit is None else dataset.limit(settings.limit)
    bench = _Bench(
        artifact=artifact,
        prepared=Reader.of(artifact).prepare(dataset),
        settings=settings,
        profile=request.profile,
        folder=folder,
        command=shlex.join(request.command),
    )
    SampleLibrary.of(bench.prepared.rows).save(bench.samples_file)
    return bench


def _report(
    bench: _Bench, request: Request, runs: tuple[ScenarioRuns, ...], checks: tuple[Check, ...]
) -> MlperfReport:
    entry, reasons = request.entry, request.settings.reasons()
    return MlperfReport(
        verdict="not-submittable" if reasons else verdict_of(checks),
        not_submittable=reasons,
        artifact=bench.artifact.digest,
        dataset=bench.prepared.dataset.digest,
        dataset_name=bench.prepared.dataset.name,
        questions=len(bench.prepared.dataset.questions),
        samples=len(bench.prepared.rows),
        benchmark=bench.settings.benchmark,
        division=entry.division,
        submitter=entry.submitter,
        system=system_folder(entry.system, reasons),
        reference_f1=request.reference.f1,
        reference=request.reference.whose,
        runs=runs,
        checks=checks,
        tools=tool_versions(*_TOOLS),
        cpu=cpu_facts().as_json(),
    )


def profile_for(scenario: ScenarioName, profile: RuntimeProfile) -> RuntimeProfile:
    """Return how a scenario runs: SingleStream puts the threads of all instances into one."""
    if scenario == "offline":
        return profile
    return profile.model_copy(update={"instances": 1, "threads": profile.instances * profile.threads})


def _require_whole(entry: Entry) -> None:
    missing = missing_fields(entry.description)
    if not entry.retraining:
        missing.append("retraining (for measurements.json: --retraining)")
    if missing:
        raise UsageError(
            f"system description: lacks {', '.join(missing)}; give them with --set FIELD=VALUE or in a file with "
            "--system FILE.json (--describe-system FILE.json writes one to fill in), or try with --quick first"
        )


def _run_scenario(
    bench: _Bench, scenario: ScenarioName, reasons: tuple[str, ...]
) -> tuple[FinishedScenario, ScenarioRuns]:
    settings = bench.settings
    done = FinishedScenario(
        scenario=scenario, user_conf="", accuracy=None, score=None, performance=None, command=bench.command
    )
    told = ScenarioRuns(scenario=scenario, profile=_shown(profile_for(scenario, bench.profile)))
    load_asked, seconds_each = _load(bench, scenario, 1.0), None
    if "accuracy" in settings.modes:
        # What LoadGen reckons with is of no account here: every sample comes once.
        conf = _write_conf(bench, load_asked, "accuracy", reasons)
        logs, outcome = bench.run(scenario, "accuracy", conf, len(bench.prepared.rows))
        seconds_each = outcome["seconds"] / outcome["answered"]
        accuracy, score_found = _score(bench, logs, outcome["seconds"])
        done = replace(done, accuracy=logs, score=score_found)
        told = told.model_copy(update={"accuracy": accuracy})
    if "performance" in settings.modes:
        load_asked = _load(bench, scenario, seconds_each)
        conf = _write_conf(bench, load_asked, "performance", reasons)
        logs, performance = _run_performance(bench, scenario, conf, load_asked)
        done = replace(done, performance=logs)
        told = told.model_copy(update={"performance": performance})
    return replace(done, user_conf=user_conf(load_asked, not_submittable=reasons)), told


def _load(bench: _Bench, scenario: ScenarioName, seconds_each: float | None) -> Load:
    """Return what LoadGen is told; without `seconds_each`, and where nothing is given, a short run finds it out."""
    settings = bench.settings
    given = settings.target_qps if scenario == "offline" else settings.target_latency_ms
    if given is None and seconds_each is None:
        _, outcome = bench.run(scenario, "estimate", None, len(bench.prepared.rows))
        seconds_each = outcome["seconds"] / outcome["answered"]
    return Load(
        scenario=scenario,
        target_qps=settings.target_qps or _HEADROOM / (seconds_each or 1.0),
        target_latency_ms=settings.target_latency_ms or 1000 * _HASTE * (seconds_each or 1.0),
        min_duration_ms=1000 * settings.min_duration,
        samples=len(bench.prepared.rows),
    )


def _write_conf(bench: _Bench, asked: Load, mode: str, reasons: tuple[str, ...]) -> Path:
    path = bench.folder / f"user-{asked.scenario}-{mode}.conf"
    path.write_text(user_conf(asked, not_submittable=reasons), encoding="utf-8")
    return path


def _shown(profile: RuntimeProfile) -> dict[str, Any]:
    return {name: value for name, value in profile.as_json().items() if name not in ("measured", "cpu")}


def _score(bench: _Bench, logs: Path, seconds: float) -> tuple[AccuracyRun, Score]:
    content = (logs / ACCURACY).read_bytes()
    answers = read_answers(content, bench.prepared.lengths, name=f"{logs.parent.name}: {ACCURACY}")
    found = score(bench.prepared, answers)
    told = AccuracyRun(
        f1=found.f1,
        exact_match=found.exact_match,
        samples=len(answers),
        seconds=seconds,
        log_sha256=sha256_bytes(content),
    )
    return told, found


def _run_performance(
    bench: _Bench, scenario: ScenarioName, conf: Path, asked: Load
) -> tuple[Path, PerformanceRun]:
    seconds = asked.min_duration_ms / 1000
    rate = OFFLINE_SLACK * asked.target_qps if scenario == "offline" else 1000 / asked.target_latency_ms
    expected = max(asked.samples, int(rate * seconds)) if scenario == "offline" else int(rate * seconds)
    logs, outcome = bench.run(scenario, "performance", conf, expected)
    log = DetailLog.read(logs / DETAIL)
    return logs, PerformanceRun(
        valid=log.valid,
        invalid_because=log.text("result_invalid_reason"),
        samples_per_second=log.samples_per_second,
        early_stopping_ms=log.early_stopping_ms,
        latency_ms=log.latency_ms,
        samples=outcome["answered"],
        target=asked.target_qps if scenario == "offline" else asked.target_latency_ms,
        min_duration_ms=log.whole("effective_min_duration_ms") or 0,
        seeds=log.seeds,
        loadgen=log.text("loadgen_version"),
        seconds=outcome["seconds"],
    )
