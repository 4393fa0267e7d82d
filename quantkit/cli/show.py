"""What commands print: JSON or tables on stdout, messages on stderr."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from quantkit.artifact import Artifact


def say(line: str) -> None:
    """Print a message for people on stderr."""
    click.echo(line, err=True)


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
    click.echo(text, nl=False)


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

    table = Table(title=title, title_justify="left", box=box.SIMPLE, show_header=header)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
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


def megabytes(count: int) -> str:
    """Return a size in MB, 1 MB = 10^6 bytes."""
    return f"{count / 1e6:,.1f} MB"


def percent(share: float) -> str:
    """Return a share from 0 to 1 in percent."""
    return f"{100 * share:.2f} %"


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
