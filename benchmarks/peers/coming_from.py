"""Run every command of docs/coming-from/, each tool's in an environment of its own, and say which do what they say.

    python benchmarks/peers/coming_from.py --work DIR [--sentence-encoder all-MiniLM-L6-v2] [--only PAGE …]

What the pages begin with is put into DIR, which is made anew: the quickstart's checkpoint and questions, a tiny
classifier, texts and pairs for embeddings. The page of sentence-transformers needs a checkpoint of all-MiniLM-L6-v2, a
folder; without it its row says so. A command that stands on several pages runs once. The table is printed and kept
in DIR as coming-from.md. Ends with 1 when a command ended with another exit code, or without a line of its page.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from environments import build
from pages import OWN, Command, read_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "coming-from"
_OURS, _FOREIGN = (
    ROOT / "benchmarks" / "peers" / "requirements",
    ROOT / "benchmarks" / "foreign" / "requirements",
)
REQUIREMENTS = {
    "onnxruntime": _FOREIGN,
    "optimum": _FOREIGN,
    "olive": _FOREIGN,
    "neural-compressor": _OURS,
    "sentence-transformers": _OURS,
}
"""Environment → where its requirements are; a page has the name of its tool's, and pages run in this order."""
_SECONDS = 900


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What became of a command.

    Attributes:
        page: where it stands.
        command: what was run.
        result: `ok`, or what is wrong.
        seconds: how long it took.
    """

    page: str
    command: Command
    result: str
    seconds: float


def main() -> None:
    """Make the folder, run the pages, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--environments", type=Path, help="where they are or will be; default: in --work")
    parser.add_argument("--sentence-encoder", type=Path, help="folder of all-MiniLM-L6-v2's checkpoint")
    parser.add_argument(
        "--only", nargs="*", default=["index", *REQUIREMENTS], help="pages; each wants those before it"
    )
    options = parser.parse_args()
    folder = options.work.resolve() / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environments = (options.environments or options.work / "environments").resolve()
    prepare(folder, options.sentence_encoder)
    lines = ["| page | in | command | result | seconds |", "|---|---|---|---|---|"]
    seen: set[Command] = set()
    failed = 0
    for page in options.only:
        if page == "sentence-transformers" and options.sentence_encoder is None:
            lines.append(f"| {page} | | | left out: no --sentence-encoder | |")
            continue
        for done in run_page(page, folder, environments, seen):
            lines.append(row(done))
            print(lines[-1], file=sys.stderr, flush=True)
            failed += done.result != "ok"
    table = "\n".join(lines) + "\n"
    (options.work / "coming-from.md").write_text(table, encoding="utf-8")
    print(table)
    sys.exit(1 if failed else 0)


def row(done: Done) -> str:
    """Return a row of the table."""
    cells = (
        done.page,
        done.command.environment,
        f"`{done.command.line}`",
        done.result,
        f"{done.seconds:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def prepare(folder: Path, encoder: Path | None) -> None:
    """Put what the pages begin with into the folder."""
    model = ROOT / "quantkit" / "quickstart"
    shutil.copytree(model / "model", folder / "checkpoint")
    shutil.copyfile(ROOT / "calibration" / "callcentre" / "calibration.json", folder / "questions.json")
    models = ROOT / "benchmarks" / "models"
    make(folder, models / "classifier.py", "--tiny", "-o", "classifier")
    if encoder is None:
        return
    shutil.copytree(encoder, folder / "all-MiniLM-L6-v2")
    make(
        folder, models / "sentence_pairs.py", model / "data" / "callcentre-heldout.json", "-o", "pairs.jsonl"
    )
    make(
        folder,
        models / "sentence_pairs.py",
        "questions.json",
        *("-o", "calibration-pairs.jsonl", "--texts", "texts.jsonl"),
    )


def make(folder: Path, script: Path, *arguments: str | Path) -> None:
    """Run a script that makes models or data."""
    subprocess.run(
        [sys.executable, script, *arguments],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ,
    )


def run_page(page: str, folder: Path, environments: Path, seen: set[Command]) -> Iterator[Done]:
    """Run the commands of a page that no page before it had."""
    read = read_page(PAGES / f"{page}.md", {OWN, *REQUIREMENTS})
    for name, content in read.files.items():
        (folder / name).write_text(content, encoding="utf-8")
    for command in read.commands:
        if command not in seen:
            seen.add(command)
            yield run(page, command, folder, programs(command.environment, environments))


def programs(environment: str, environments: Path) -> Path:
    """Return the folder of an environment's programs, building it when it is not there."""
    if environment == OWN:
        return Path(sys.executable).parent
    requirements = REQUIREMENTS[environment] / f"{environment}.txt"
    return build(environment, environments, requirements).python.parent


def run(page: str, command: Command, folder: Path, place: Path) -> Done:
    """Run a command and compare its exit code and output with its page's."""
    around = {
        **os.environ,
        "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
        "TQDM_DISABLE": "1",
        "COLUMNS": "200",
    }
    around |= {"HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"}
    if command.environment != OWN:
        around.pop("PYTHONPATH", None)
    started = time.monotonic()
    try:
        ended = subprocess.run(
            ["bash", "-c", command.line],
            cwd=folder,
            env=around,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        said = ended.stdout + ended.stderr
        result = judge(command, ended.returncode, said)
    except subprocess.TimeoutExpired:
        result = f"took longer than {_SECONDS} s"
    return Done(page=page, command=command, result=result, seconds=time.monotonic() - started)


def judge(command: Command, code: int, said: str) -> str:
    """Return `ok`, or what differs from the page."""
    if code != command.code:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return f"exit code {code} for {command.code}: {lines[-1][:200] if lines else 'no output'}"
    missing = command.not_printed(said)
    return f"did not print {missing[0]!r}" if missing else "ok"


if __name__ == "__main__":
    main()
