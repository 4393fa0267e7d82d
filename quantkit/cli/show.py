"""What commands print: JSON or tables on stdout, messages on stderr."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from quantkit.printable import cell, json_spelled_out, spelled_out

if TYPE_CHECKING:
    from quantkit.artifact import Artifact
    from quantkit.records import SearchReport, Sensitivity, ShapeSearch
    from quantkit.registry.channels import Moved


def say(line: str) -> None:
    """Print a message for people on stderr."""
    click.echo(spelled_out(line), err=True)


def put(text: str) -> None:
    """Print text for people on stdout."""
    click.echo(spelled_out(text))


def print_json(value: Any) -> None:
    """Print one JSON object on stdout."""
    import json

    from quantkit.files import pretty_json

    text = pretty_json(value)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # JSON has its own way to spell a letter out; the stream's would not be JSON.
        text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    click.echo(json_spelled_out(text), nl=False)


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Send what libraries print to stdout to stderr: stdout holds the result alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    print_table(title, ("", ""), facts, header=False)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    header: bool = True,
    right: Sequence[int] = (),
) -> None:
    """Print a table on stdout; `right` are the columns that are aligned to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A plain string would be read as markup, and `[/x]` in a name as the end of something.
    name = Text(cell(title), style="table.title") if title else None
    table = Table(title=name, title_justify="left", box=box.SIMPLE, show_header=header)
    for index, column in enumerate(columns):
        table.add_column(Text(cell(column)), justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(text)) for text in row))
    console = Console(file=sys.stdout)
    # A file or a pipe has no width: give it what the table needs.
    if not console.is_terminal:
        console.width = 200
    console.print(table)


def artifact_json(artifact: "Artifact") -> dict[str, Any]:
    """Return what export, fuse, quantize and pull print of the artifact they made."""
    manifest = artifact.manifest
    return {
        "schema": "quantkit/artifact/1",
        "path": str(artifact.path),
        "artifact": artifact.digest,
        "task": manifest.task,
        "architecture": manifest.architecture,
        "precision": manifest.precision,
        "size_bytes": artifact.model_bytes,
        "parent": manifest.parent,
        "stages": [record.model_dump(mode="json") for record in manifest.stages],
    }


def print_artifact(artifact: "Artifact", *, as_json: bool) -> None:
    """Print what was made, as JSON or as a table."""
    if as_json:
        print_json(artifact_json(artifact))
        return
    manifest = artifact.manifest
    facts = [
        ("artifact", str(artifact.path)),
        ("digest", artifact.digest),
        ("model", f"{manifest.architecture}, {manifest.task}, {manifest.precision}"),
        ("size", megabytes(artifact.model_bytes)),
    ]
    for record in manifest.stages:
        facts.append(
            (record.stage, f"{record.seconds:.1f} s, {megabytes(record.peak_memory_bytes)} peak memory")
        )
        facts.extend((f"  {name}", _flat(value)) for name, value in record.facts.items() if _flat(value))
    print_facts("", facts)


def print_moved(moved: "Moved", *, as_json: bool) -> None:
    """Print where a channel points now, and where it pointed before."""
    if as_json:
        print_json(
            {
                "schema": "quantkit/channel/1",
                "name": moved.name,
                "channel": moved.channel,
                "before": moved.before,
                "version": moved.after,
            }
        )
        return
    before = "the same before" if moved.before == moved.after else f"before: {moved.before or 'nothing'}"
    print_facts("", [(f"{moved.name}:{moved.channel}", f"{moved.after} ({before})")])


def print_search(report: "SearchReport", artifact: "Artifact") -> None:
    """Print what a search found, and where in its artifact the rest is."""
    from quantkit.report.digits import cut
    from quantkit.report.groups import score_name
    from quantkit.report.search_files import PAGE, PICTURE, RECIPE

    chosen = next(found for found in report.candidates if found.number == report.chosen)
    score, target = (
        score_name(report.task),
        f"{100 * report.target:g} % of the FP32 {score_name(report.task)}",
    )
    slow, fast = chosen.throughput_spread
    bound = (
        f"at least {cut(100 * chosen.expected_ratio_low, 3)} % with {100 * report.confidence:g} % confidence"
    )
    choices = ", ".join(f"{count} {label}" for label, count in chosen.choices.items() if count)
    facts = [
        ("target", f"{target}: {'met' if report.met else 'MISSED; this is the best that was found'}"),
        (
            f"{score} ratio",
            f"{cut(100 * chosen.ratio, 3)} % on {report.selection_questions:,} questions of {report.selection}",
        ),
        ("expected", f"{cut(100 * chosen.expected_ratio, 3)} %, {bound}"),
        ("throughput", f"{chosen.throughput:.2f} x FP32 ({slow:.2f} to {fast:.2f})"),
        ("INT8 coverage", percent(chosen.int8_coverage)),
        ("size", megabytes(chosen.size_bytes)),
        ("groups", choices),
        (
            "search",
            f"{len(report.candidates)} candidates, {sum(report.seconds.values()):.0f} s, "
            f"{report.peak_memory_mb:,.0f} MB peak memory",
        ),
        ("validated on", ", ".join(report.validated_on) or f"nothing yet; made for {report.target_isa}"),
    ]
    for name, what in ((RECIPE, "recipe"), (PAGE, "page"), (PICTURE, "picture")):
        if artifact.report_path(name).is_file():
            facts.append((what, str(artifact.report_path(name))))
    print_facts("", facts)


def print_sensitivity(report: "Sensitivity") -> None:
    """Print the groups, the most sensitive first, by short names that fit a terminal."""
    from quantkit.report.groups import places

    largest = max((group.damage for group in report.groups), default=0)
    named = places(report.groups)
    ordered = sorted(zip(report.groups, named, strict=True), key=lambda pair: -pair[0].damage)
    short = {group.group: str(place) for group, place in ordered}
    together = any(group.measured_with for group in report.groups)
    rows = [
        (
            "" if place.layer is None else str(place.layer),
            place.kind,
            f"{group.damage:.2g}",
            _bar(group.damage / largest if largest else 0),
            percent(group.changed),
            f"{group.sqnr_db:.1f}",
            *((", ".join(short.get(name, name) for name in group.measured_with),) if together else ()),
        )
        for group, place in ordered
    ]
    columns = ["layer", "group", "damage", "", "changed", "SQNR dB"] + ["measured with"] * together
    asked = f"{report.questions:,} questions, {report.seconds:.0f} s"
    title = f"{report.choice}, one group at a time: damage in nats on {asked}"
    print_table(title, columns, rows, right=(0, 2, 4, 5))


def _bar(share: float, width: int = 12) -> str:
    """Return a bar of eighths of a letter; what is more than nothing shows."""
    eighths = max(round(8 * width * share), 1 if share > 0 else 0)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def megabytes(count: int) -> str:
    """Return a size in MB, 1 MB = 10^6 bytes."""
    return f"{count / 1e6:,.1f} MB"


def percent(share: float) -> str:
    """Return a share from 0 to 1 in percent; only nothing is 0.00 %, and only all of it 100.00 %."""
    rounded = f"{100 * share:.2f}"
    if 0 < share < 1:
        rounded = {"0.00": "0.01", "100.00": "99.99"}.get(rounded, rounded)
    return f"{rounded} %"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        scalars = {k: v for k, v in value.items() if not isinstance(v, dict | list)}
        return (
            ", ".join(f"{name} {_number(inner)}" for name, inner in scalars.items())
            if len(scalars) <= 12
            else ""
        )
    if isinstance(value, list):
        return ", ".join(map(str, value)) if len(value) <= 4 else f"{len(value)} entries"
    return _number(value)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_shapes(report: "ShapeSearch") -> None:
    """Print the candidates of an architecture search; a warning when the chosen one misses what was asked."""
    from quantkit.report.digits import kept, nats, times
    from quantkit.report.widths import NOTE, feed_forward_of, heads_of

    rows = [
        (
            "→" if one.number == report.chosen else "",
            str(one.number),
            one.origin,
            heads_of(one),
            feed_forward_of(one),
            f"{one.parameters / 1e6:,.1f} M",
            times(one.throughput),
            nats(one.divergence),
            kept(one.ratio),
            one.folder,
        )
        for one in report.candidates
    ]
    columns = ("", "", "from", "heads", "feed-forward", "parameters", "speed", "damage", "score", "folder")
    title = f"{len(report.candidates)} candidates as INT8 on {report.selection_questions:,} questions, before training"
    if any(one.float_blocks for one in report.candidates):
        title = f"{title}; {NOTE}"
    print_table(title, columns, rows, right=(1, 5, 6, 7, 8))
    if not report.met:
        asked = ", ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in report.limits.items())
        say(
            f"warning: no candidate keeps all that was asked ({asked}), as measured; chosen is the nearest: give more "
            "--candidates, or relax a limit"
        )
