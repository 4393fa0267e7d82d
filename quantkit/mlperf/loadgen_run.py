"""One LoadGen run, in the process that this module is the program of: `python -m quantkit.mlperf.loadgen_run JOB`.

A run has a process of its own because LoadGen reads its rules (mlperf.conf, with the seeds) at the first run of a
process only, and because whatever is raised inside its callbacks ends the process.

The process works in its own empty folder (LoadGen reads an `audit.config` from wherever it is started), writes lines
`answered N` to stdout, and ends with the outcome in `outcome.json`. It ends when its stdin does, so it does not outlive
whoever started it.
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from quantkit.engines import open_engine
from quantkit.errors import MISTAKE, QuantkitError, UsageError
from quantkit.files import write_json
from quantkit.mlperf.loadgen_job import LOGS, OUTCOME, LoadgenJob
from quantkit.mlperf.rules import MODEL, MODES, SCENARIOS
from quantkit.mlperf.samples import SampleLibrary
from quantkit.mlperf.system_under_test import Answer, SystemUnderTest
from quantkit.runtime.engine import Engine

TOLD_EVERY = 0.2
"""Seconds between two lines of progress."""
_FIRST = 16
_SEED = 0


def loadgen() -> Any:
    """Return LoadGen.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import mlperf_loadgen
    except ModuleNotFoundError:
        raise UsageError(
            'mlperf needs mlcommons-loadgen, which is not installed; run pip install "quantkit[mlperf]"'
        ) from None
    return mlperf_loadgen


def measure(job: LoadgenJob, folder: Path) -> dict[str, Any]:
    """Do what the job says; LoadGen's logs are in `folder`/logs afterwards.

    Returns:
        The outcome: how many queries were answered, and in how many seconds.

    Raises:
        QuantkitError: the model cannot be opened, or LoadGen is not installed.
    """
    library = SampleLibrary.load(Path(job.samples))
    with open_engine(
        Path(job.model), outputs=job.outputs, profile=job.profile, name=job.model_name
    ) as engine:
        if job.mode == "estimate":
            return _estimate(job, engine, library, folder)
        return _run(job, engine, library, folder)


def _run(job: LoadgenJob, engine: Engine, library: SampleLibrary, folder: Path) -> dict[str, Any]:
    lg = loadgen()
    assert job.mode != "estimate"

    def answer(answers: Sequence[Answer]) -> None:
        # LoadGen copies what it is pointed at before the call returns.
        lg.QuerySamplesComplete(
            [lg.QuerySampleResponse(number, row.ctypes.data, row.nbytes) for number, row in answers]
        )

    sut = _system(job, engine, library, folder, answer)
    settings = lg.TestSettings()
    settings.scenario = getattr(lg.TestScenario, SCENARIOS[job.scenario])
    settings.mode = getattr(lg.TestMode, MODES[job.mode])
    if settings.FromConfig(job.user_conf, MODEL, SCENARIOS[job.scenario]) != 0:
        raise UsageError(f"{job.user_conf}: LoadGen cannot read its settings; report this")
    output = lg.LogOutputSettings()
    output.outdir = os.fspath(folder / LOGS)
    output.copy_summary_to_stdout = False
    log = lg.LogSettings()
    log.log_output = output
    log.enable_trace = False
    (folder / LOGS).mkdir()
    _warm_up(sut, engine, library)
    _tell_progress(sut)
    handle = lg.ConstructSUT(sut.issue, _nothing)
    queries = lg.ConstructQSL(len(library), len(library), _ignore, _ignore)
    lg.StartTestWithLogSettings(handle, queries, settings, log)
    lg.DestroyQSL(queries)
    lg.DestroySUT(handle)
    return {"answered": sut.answered, "seconds": sut.seconds}


def _nothing() -> None:
    """Flush nothing: no answer waits for another query."""


def _ignore(indices: Sequence[int]) -> None:
    """Load or unload nothing: all samples are in memory."""
    del indices


def _system(
    job: LoadgenJob, engine: Engine, library: SampleLibrary, folder: Path, answer: Any
) -> SystemUnderTest:
    def fail(error: BaseException) -> NoReturn:
        _leave(folder, error)

    return SystemUnderTest(engine, library, profile=job.profile, pad_id=job.pad_id, answer=answer, fail=fail)


class _Asked:
    """A query of our own."""

    def __init__(self, index: int) -> None:
        self.id = index
        self.index = index


def _warm_up(sut: SystemUnderTest, engine: Engine, library: SampleLibrary) -> None:
    """Run the longest samples once on every worker, so that memory has its size before the clock starts."""
    longest = sorted(range(len(library)), key=lambda index: -len(library.samples[index].input_ids))
    job = sut.job(longest[: 2 * engine.workers])
    for future in [engine.submit(job.feeds(batch)) for batch in job.batches]:
        future.result()


def _estimate(job: LoadgenJob, engine: Engine, library: SampleLibrary, folder: Path) -> dict[str, Any]:
    """Measure how fast the scenario goes, on samples drawn at random: twice as many until it took long enough."""
    finished = threading.Event()
    expected = 0

    def answer(answers: Sequence[Answer]) -> None:
        nonlocal expected
        with lock:
            expected -= len(answers)
            if expected == 0:
                finished.set()

    lock = threading.Lock()
    sut = _system(job, engine, library, folder, answer)
    _warm_up(sut, engine, library)
    order = np.random.default_rng(_SEED).permutation(len(library)).tolist()
    count = min(_FIRST, len(order))
    while True:
        chosen = order[:count]
        started = time.perf_counter()
        for group in [chosen] if job.scenario == "offline" else [[index] for index in chosen]:
            finished.clear()
            expected = len(group)
            sut.issue([_Asked(index) for index in group])
            finished.wait()
        seconds = time.perf_counter() - started
        if seconds >= job.estimate_seconds or count == len(order):
            return {"answered": count, "seconds": seconds}
        count = min(2 * count, len(order))


def _tell_progress(sut: SystemUnderTest) -> None:
    def tell() -> None:
        while True:
            time.sleep(TOLD_EVERY)
            os.write(sys.stdout.fileno(), f"answered {sut.answered}\n".encode())

    threading.Thread(target=tell, daemon=True).start()


def _end_with_stdin() -> None:
    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(MISTAKE)

    threading.Thread(target=wait, daemon=True).start()


def _leave(folder: Path, error: BaseException) -> NoReturn:
    """Write down what went wrong and end the process, from whatever thread, without a word to LoadGen."""
    if not isinstance(error, QuantkitError):
        traceback.print_exception(error, file=sys.stderr)
    message = str(error) if isinstance(error, QuantkitError) else f"{type(error).__name__}: {error}"
    write_json(folder / OUTCOME, {"error": message, "mistake": isinstance(error, QuantkitError)})
    sys.stderr.flush()
    os._exit(MISTAKE)


def main(arguments: Sequence[str]) -> None:
    """Run the job in the file that is the only argument, in the folder that is the current one."""
    folder = Path.cwd()
    _end_with_stdin()
    try:
        outcome = measure(LoadgenJob.read(Path(arguments[0])), folder)
    except BaseException as error:  # noqa: BLE001 - the process ends here, and says why
        _leave(folder, error)
    write_json(folder / OUTCOME, outcome)
    # The engine is closed; LoadGen's own threads are not worth waiting for.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
