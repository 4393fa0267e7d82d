"""quantkit data: what is in a dataset file, as quantkit reads it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show
from quantkit.tables import TASKS

if TYPE_CHECKING:
    from quantkit.tasks.rows.findings import Findings


@click.command("data")
@click.argument("action", type=click.Choice(["check"]))
@click.argument("file")
@click.option(
    "--task", type=click.Choice(list(TASKS)), default="squad", show_default=True, help="What the file is for."
)
@click.option(
    "--model",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Artifact or checkpoint whose tokenizer counts tokens and whose labels are checked.",
)
@options.data_dir_option
@options.json_option
def command(
    *, action: str, file: str, task: str, model: Path | None, data_dir: Path | None, as_json: bool
) -> None:
    """Look at dataset files before they are used.

    `check` reads FILE (JSON, JSON Lines, CSV, TSV, text, Parquet, Arrow, gzip) and says what is in it.

    Where its columns have other names, say which is which: reviews.csv?text=review&label=stars
    """
    del action  # there is one
    from quantkit.api.looking import lengths_for
    from quantkit.tasks import WindowSettings
    from quantkit.tasks import task as task_named
    from quantkit.tasks.datasets import load
    from quantkit.tasks.rows.findings import findings
    from quantkit.tasks.tokenizer import Tokenizer

    dataset = load(file, task, data_dir)
    tokenizer = None if model is None else Tokenizer.load(model)
    settings = WindowSettings() if model is None else lengths_for(model, task)
    found = findings(dataset, task_named(task), tokenizer, settings)
    if as_json:
        show.print_json({"schema": "quantkit/data-check/1", "file": str(dataset.path), **found.as_json()})
        return
    rows = [
        ("dataset", f"{found.dataset}, sha256 {found.digest}"),
        (_counted(task), f"{found.questions:,}"),
        (
            "without an answer",
            f"{found.unanswered:,}{_calibration_only(found, dataset.path)}",
        ),
        *([("impossible", f"{found.impossible:,} (SQuAD 2.0)")] if found.impossible else []),
        ("repeated", f"{found.repeated:,}"),
    ]
    for name, lengths in (("characters", found.characters), ("tokens", found.tokens)):
        if lengths is not None:
            rows.append(
                (
                    name,
                    f"{lengths.least:,} to {lengths.most:,}, median {lengths.median:,}, 95 % up to {lengths.p95:,}",
                )
            )
    if found.truncated is not None:
        most = settings.max_query_length if task == "squad" else settings.max_length
        what = _counted(task)
        rows.append(
            ("truncated", f"{found.truncated:,} of {found.questions:,} {what} (more than {most} tokens)")
        )
    if found.labels:
        rows.append(("labels", ", ".join(f"{name} {count:,}" for name, count in found.labels.items())))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        show.put(f"{name:<{width}}  {value}")


def _calibration_only(found: "Findings", path: Path) -> str:
    """Return what rows without a right answer are good for, and how its column would be named if there is one."""
    if not found.unanswered:
        return ""
    from quantkit.tasks.rows.columns import answer_column

    column = answer_column(found.task, path)
    return f" (for calibration only{'' if column is None else f', unless you name the column: {column}'})"


def _counted(task: str) -> str:
    """Return what the rows of a task's file are."""
    return {"squad": "questions", "reranking": "queries", "token-classification": "sentences"}.get(
        task, "texts"
    )
