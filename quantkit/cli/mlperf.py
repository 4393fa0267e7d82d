"""quantkit mlperf: LoadGen runs and the submission made of them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show
from quantkit.errors import UsageError

if TYPE_CHECKING:
    from quantkit.artifact import Artifact
    from quantkit.mlperf.settings import MlperfSettings, Reference
    from quantkit.records.gate import Check
    from quantkit.records.mlperf import MlperfReport, ScenarioRuns

_UNNAMED = "unnamed"


@click.command("mlperf")
@click.argument("artifact", required=False)
@options.model_option
@click.option("-o", "--output", "output", type=options.FOLDER, help="New folder for the submission.")
@click.option(
    "--scenario",
    "scenarios",
    type=click.Choice(["offline", "single-stream"]),
    multiple=True,
    show_default="both",
    help="What LoadGen asks for (repeatable).",
)
@click.option(
    "--mode",
    type=click.Choice(["accuracy", "performance", "both"]),
    show_default="both",
    help="What LoadGen measures.",
)
@click.option("--quick", is_flag=True, help="Smoke run in seconds; NOT SUBMITTABLE.")
@click.option(
    "--benchmark",
    type=click.Choice(["bert-99", "bert-99.9"]),
    show_default="bert-99.9",
    help="Which share of the reference's F1 is to be reached.",
)
@click.option(
    "--baseline",
    help="FP32 artifact whose F1 is the reference (open division), instead of MLPerf's 90.874.",
)
@click.option(
    "--division", type=click.Choice(["open", "closed"]), show_default="open", help="Division of MLPerf."
)
@click.option("--submitter", help="Organisation that submits.")
@click.option("--system", help="Name of the system, or FILE.json with its description.")
@click.option(
    "--set", "fields", multiple=True, metavar="FIELD=VALUE", help="A field of the description (repeatable)."
)
@click.option("--retraining", help="How the weights came about, for measurements.json.")
@click.option(
    "--describe-system",
    type=options.FILE,
    help="Only write what is known of this machine to FILE.json, to be filled in.",
)
@click.option("--check", is_flag=True, help="Only check the submission in the folder given for ARTIFACT.")
@click.option(
    "--target-qps", type=float, show_default="estimated", help="Samples per second Offline reckons with."
)
@click.option(
    "--target-latency",
    "target_latency_ms",
    type=float,
    show_default="estimated",
    help="Milliseconds per query SingleStream reckons with.",
)
@click.option(
    "--min-duration", type=int, show_default="600", help="Seconds a performance run lasts at least."
)
@click.option("--data", show_default="squad", help="Dataset name, or a file in SQuAD's format.")
@click.option("--limit", type=int, help="First N questions only; NOT SUBMITTABLE.")
@click.option(
    "--token-budget",
    type=click.IntRange(min=1),
    show_default="of the artifact's profile",
    help="Tokens per batch.",
)
@click.option(
    "--instances",
    type=click.IntRange(min=1),
    show_default="of the artifact's profile",
    help="Batches that run at once.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    show_default="of the artifact's profile",
    help="Threads per instance.",
)
@click.option(
    "--engine",
    type=click.Choice(["threads", "processes"]),
    show_default="of the artifact's profile",
    help="What the instances are.",
)
@options.force_option
@options.data_dir_option
@options.json_option
def command(
    *,
    artifact: str | None,
    model: str | None,
    output: Path | None,
    scenarios: tuple[str, ...],
    mode: str | None,
    quick: bool,
    benchmark: str | None,
    baseline: str | None,
    division: str | None,
    submitter: str | None,
    system: str | None,
    fields: tuple[str, ...],
    retraining: str | None,
    describe_system: Path | None,
    check: bool,
    target_qps: float | None,
    target_latency_ms: float | None,
    min_duration: int | None,
    data: str | None,
    limit: int | None,
    token_budget: int | None,
    instances: int | None,
    threads: int | None,
    engine: str | None,
    force: bool,
    data_dir: Path | None,
    as_json: bool,
) -> int:
    """Run MLPerf's LoadGen and write a submission.

    Each run has a process of its own. Exit codes: 0 nothing would be rejected (or the run was never meant as a
    result), 3 it would be, 2 for a mistake in the command or a run that failed.
    """
    entry_division = "closed" if division == "closed" else "open"
    given = _given_fields(system, fields)
    if describe_system is not None:
        return _write_description(describe_system, given, entry_division, submitter or "")
    source = options.chosen(artifact, model, "ARTIFACT")
    if check:
        return _check(Path(source), as_json=as_json)
    if output is None:
        raise UsageError("--output: is missing; name a new folder for the submission")
    from quantkit.artifact import Artifact
    from quantkit.mlperf.campaign import mlperf
    from quantkit.mlperf.settings import Entry, MlperfSettings, Request
    from quantkit.mlperf.system_description import describe
    from quantkit.runtime.profile import RuntimeProfile, profile_of

    settings = options.section(
        MlperfSettings,
        {
            "scenarios": scenarios or None,
            "modes": None if mode in (None, "both") else (mode,),
            "benchmark": benchmark,
            "data": data,
            "limit": limit,
            "min_duration": min_duration,
            "target_qps": target_qps,
            "target_latency_ms": target_latency_ms,
            "quick": quick,
        },
    )
    name = given.get("system_name") or _UNNAMED
    if not settings.reasons() and (submitter is None or name == _UNNAMED):
        raise UsageError("--submitter and --system: are needed for a submission; try with --quick first")
    if baseline is not None and entry_division == "closed":
        raise UsageError("--baseline: the closed division compares with MLPerf's 90.874; leave it out")
    with show.working():
        opened = Artifact.open(source)
        profile = profile_of(opened)
        changes = {"token_budget": token_budget, "instances": instances, "threads": threads, "engine": engine}
        request = Request(
            settings=settings,
            entry=Entry(
                division="closed" if division == "closed" else "open",
                submitter=submitter or _UNNAMED,
                system=name.replace(" ", "_"),
                description=describe(
                    given, division=entry_division, submitter=submitter or _UNNAMED, system_name=name
                ),
                retraining=retraining or "",
            ),
            reference=_reference(baseline, settings, data_dir),
            profile=RuntimeProfile.model_validate(
                profile.as_json() | {key: value for key, value in changes.items() if value is not None}
            ),
            command=("quantkit", *sys.argv[1:]),
        )
        report = mlperf(opened, output, request, data_dir=data_dir, force=force)
    if as_json:
        show.print_json(report.as_json())
    else:
        _print(output, report, opened)
    return report.exit_code


def _given_fields(system: str | None, fields: tuple[str, ...]) -> dict[str, str]:
    """Return the fields of the description that the user gave, those of --set before those of the file."""
    from quantkit.mlperf.system_description import read_description

    given: dict[str, str] = {}
    if system is not None and system.endswith(".json"):
        given = read_description(Path(system))
        given.setdefault("system_name", Path(system).stem)
    elif system is not None:
        given = {"system_name": system}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {field}: expected FIELD=VALUE")
        given[name] = value
    return given


def _write_description(path: Path, given: dict[str, str], division: str, submitter: str) -> int:
    from quantkit.files import write_json
    from quantkit.mlperf.system_description import describe, missing_fields

    if path.exists():
        raise UsageError(f"--describe-system {path}: is there already; name a new file")
    description = describe(given, division=division, submitter=submitter)
    write_json(path, description)
    show.say(f"{path}: fill in {', '.join(missing_fields(description)) or 'nothing'}")
    return 0


def _reference(baseline: str | None, settings: "MlperfSettings", data_dir: Path | None) -> "Reference":
    from quantkit.artifact import Artifact
    from quantkit.mlperf.settings import Reference
    from quantkit.recipe.settings import EvaluateSettings
    from quantkit.stages.evaluate import evaluate

    if baseline is None:
        return Reference()
    sized = settings.sized()
    evaluated = evaluate(
        Artifact.open(baseline),
        settings=EvaluateSettings(data=sized.data, limit=sized.limit),
        data_dir=data_dir,
    )
    return Reference(f1=evaluated.f1, whose=f"the baseline {evaluated.artifact[:12]}")


def _check(folder: Path, *, as_json: bool) -> int:
    """Check a submission that is there; the reference is that of its mlperf.json, where it has one."""
    from quantkit.errors import FAILED, PASSED
    from quantkit.mlperf.campaign import REPORT
    from quantkit.mlperf.check import check_submission, verdict_of
    from quantkit.mlperf.rules import NOT_SUBMITTABLE
    from quantkit.mlperf.settings import Reference
    from quantkit.records.mlperf import MlperfReport

    reference = Reference()
    if (folder / REPORT).is_file():
        report = MlperfReport.read(folder / REPORT)
        reference = Reference(f1=report.reference_f1, whose=report.reference)
    marked = folder / NOT_SUBMITTABLE
    checks = check_submission(marked if marked.is_dir() else folder, reference)
    verdict = verdict_of(checks)
    if as_json:
        content = [found.model_dump(mode="json") for found in checks]
        show.print_json({"schema": "quantkit/mlperf-check/1", "verdict": verdict, "checks": content})
    else:
        _print_checks(f"{verdict.upper()}: {folder}", checks, everything=True)
    return PASSED if verdict == "pass" else FAILED


def _print(output: Path, report: "MlperfReport", artifact: "Artifact") -> None:
    reference = f"{report.reference_f1:.6g}, {report.reference}"
    facts = [
        ("artifact", f"{artifact.path} ({report.artifact[:12]})"),
        ("dataset", f"{report.dataset_name}: {report.questions:,} questions, {report.samples:,} samples"),
        ("benchmark", f"{report.benchmark}, {report.division} division; reference F1 {reference}"),
        *(fact for runs in report.runs for fact in _facts(runs)),
        ("submission", str(output)),
    ]
    show.print_facts("", facts)
    title = report.verdict.upper()
    if report.not_submittable:
        title = f"NOT SUBMITTABLE: {'; '.join(report.not_submittable)}"
    _print_checks(title, report.checks, everything=False)


def _facts(runs: "ScenarioRuns") -> list[tuple[str, str]]:
    found = []
    if runs.accuracy is not None:
        score = f"F1 {runs.accuracy.f1:.4f}, exact match {runs.accuracy.exact_match:.4f}"
        found.append((f"{runs.scenario} accuracy", f"{score}, {runs.accuracy.samples:,} samples"))
    done = runs.performance
    if done is not None:
        rate = "" if done.samples_per_second is None else f"{done.samples_per_second:.2f} samples/s, "
        latency = ", ".join(f"{name} {value:.2f} ms" for name, value in done.latency_ms.items())
        shown = rate or f"{latency}, "
        verdict = "VALID" if done.valid else f"INVALID ({done.invalid_because})"
        found.append((f"{runs.scenario} performance", f"{shown}{done.samples:,} samples, {verdict}"))
    return found


def _print_checks(title: str, checks: "tuple[Check, ...]", *, everything: bool) -> None:
    """Print the checks; without `everything` only what would be rejected and what does not decide."""
    rows = [
        (check.name, check.required, check.observed, check.verdict if check.decides else f"{check.verdict}*")
        for check in checks
        if everything or not check.decides or check.verdict != "pass"
    ]
    passed = sum(check.verdict == "pass" for check in checks)
    show.print_table(
        f"{title}\n{passed} of {len(checks)} checks passed; * shown, not counted",
        ("check", "required", "observed", "verdict"),
        rows,
    )
