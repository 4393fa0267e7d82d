"""quantkit mlperf: LoadGen runs and the submission made of them."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show
from quantkit.errors import UsageError

if TYPE_CHECKING:
    from quantkit.artifact import Artifact
    from quantkit.mlperf.settings import Entry, EntrySettings, MlperfSettings, Reference
    from quantkit.records.gate import Check
    from quantkit.records.mlperf import MlperfReport, ScenarioRuns

_UNNAMED = "unnamed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Instead:
    """What is done in place of a run.

    Attributes:
        describe_system: a file to be written and filled in.
        check: the artifact's folder is a submission, to be checked.
    """

    describe_system: Path | None
    check: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """Where the submission goes; `path` may be missing, where nothing is run."""

    path: Path | None
    force: bool
    as_json: bool


@click.command("mlperf")
@options.argument("ARTIFACT", required=False)
@options.grouped(
    "output",
    Submission,
    click.option("-o", "--output", "path", type=options.FOLDER, help="New folder for the submission."),
    options.force_option,
    options.json_option,
)
@options.settings("MlperfSettings")
@click.option(
    "--baseline",
    type=options.ARTIFACT,
    help="FP32 artifact whose F1 is the reference (open division), instead of MLPerf's 90.874.",
)
@options.settings("EntrySettings")
@options.settings("ProfileChanges")
@options.grouped(
    "instead",
    Instead,
    click.option(
        "--describe-system",
        type=options.FILE,
        help="Only write what is known of this machine to FILE.json, to be filled in.",
    ),
    click.option("--check", is_flag=True, help="Only check the submission in the folder given for ARTIFACT."),
)
@options.data_dir_option
def command(
    *,
    artifact: str | None,
    given: options.Given,
    baseline: str | None,
    instead: Instead,
    output: Submission,
    data_dir: Path | None,
) -> int:
    """Run MLPerf's LoadGen and write a submission.

    Each run has a process of its own. Exit codes: 0 nothing would be rejected (or the run was never meant as a
    result), 3 it would be, 2 for a mistake in the command or a run that failed.
    """
    from quantkit.mlperf.settings import EntrySettings, MlperfSettings, ProfileChanges

    entry = given.build(EntrySettings)
    fields = _given_fields(entry)
    if instead.describe_system is not None:
        return _write_description(instead.describe_system, fields, entry)
    source = options.chosen(artifact, None, "ARTIFACT")
    if instead.check:
        return _check(Path(source), as_json=output.as_json)
    if output.path is None:
        raise UsageError("--output: is missing; name a new folder for the submission")
    settings = given.build(MlperfSettings)
    changes = given.build(ProfileChanges)
    name = fields.get("system_name") or _UNNAMED
    if not settings.reasons() and (entry.submitter is None or name == _UNNAMED):
        raise UsageError("--submitter and --system: are needed for a submission; try with --quick first")
    if baseline is not None and entry.division == "closed":
        raise UsageError("--baseline: the closed division compares with MLPerf's 90.874; leave it out")
    from quantkit.artifact import Artifact
    from quantkit.mlperf.campaign import mlperf
    from quantkit.mlperf.settings import Request
    from quantkit.runtime.profile import profile_of

    with show.working():
        opened = Artifact.open(source)
        request = Request(
            settings=settings,
            entry=_entry(entry, fields),
            reference=_reference(baseline, settings, data_dir),
            profile=changes.applied(profile_of(opened)),
            command=("quantkit", *sys.argv[1:]),
        )
        report = mlperf(opened, output.path, request, data_dir=data_dir, force=output.force)
    if output.as_json:
        show.print_json(report.as_json())
    else:
        _print(output.path, report, opened)
    return report.exit_code


def _given_fields(entry: "EntrySettings") -> dict[str, str]:
    """Return the fields of the description that the user gave, those of --set before those of the file."""
    from quantkit.mlperf.system_description import read_description

    given: dict[str, str] = {}
    if entry.system is not None and entry.system.endswith(".json"):
        given = read_description(Path(entry.system))
        given.setdefault("system_name", Path(entry.system).stem)
    elif entry.system is not None:
        given = {"system_name": entry.system}
    for field in entry.fields:
        name, equals, value = field.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {field}: expected FIELD=VALUE")
        given[name] = value
    return given


def _entry(entry: "EntrySettings", fields: dict[str, str]) -> "Entry":
    from quantkit.mlperf.settings import Entry
    from quantkit.mlperf.system_description import describe

    submitter, name = entry.submitter or _UNNAMED, fields.get("system_name") or _UNNAMED
    return Entry(
        division=entry.division,
        submitter=submitter,
        system=name.replace(" ", "_"),
        description=describe(fields, division=entry.division, submitter=submitter, system_name=name),
        retraining=entry.retraining or "",
    )


def _write_description(path: Path, fields: dict[str, str], entry: "EntrySettings") -> int:
    from quantkit.files import write_json
    from quantkit.mlperf.system_description import describe, missing_fields

    if path.exists():
        raise UsageError(f"--describe-system {path}: is there already; name a new file")
    description = describe(fields, division=entry.division, submitter=entry.submitter or "")
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
