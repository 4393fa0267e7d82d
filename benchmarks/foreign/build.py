"""Folders that other tools really make, each in an environment of its own, imported and gated.

    python benchmarks/foreign/build.py --work DIR [--checkpoint DIR] [--data NAME] [--calib SET] [--only WORD …]

Made from one checkpoint, the quickstart's when nothing is said: FP32 by optimum and Olive, INT8 from these by optimum,
onnxruntime, Olive and NNCF. Each folder is imported with `quantkit import`; each INT8 artifact is
gated against the imported FP32 that it was made from. The table is printed and kept in DIR as foreign.md. Environments
are built from `requirements/` when they are not in DIR. A tool that fails is a row that says so.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantkit.artifact import Artifact
from quantkit.shipped import quickstart_model
from quantkit.tasks.calibration_set import select
from quantkit.tasks.prepared import Reader

HERE = Path(__file__).resolve().parent


class ToolFailed(Exception):
    """A tool ended with an error; the message is the last line that it said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One folder of another tool.

    Attributes:
        name: the folder, and the row.
        tool: the environment.
        source: the FP32 folder it is made from; empty for FP32 itself.
        command: what is run; `{source}`, `{out}`, `{checkpoint}`, `{rows}` and `{here}` stand for paths.
    """

    name: str
    tool: str
    source: str = ""
    command: tuple[str, ...]


_EXPORT = (
    "optimum-cli",
    "export",
    "onnx",
    "--model",
    "{checkpoint}",
    "--task",
    "question-answering",
    "{out}",
)
_OPTIMUM = ("optimum-cli", "onnxruntime", "quantize", "--onnx_model", "{source}", "-o", "{out}")
_OLIVE = ("olive", "run-pass", "--disable_telemetry", "-m", "{source}", "-o", "{out}", "--pass-name")
_CAPTURE = ("olive", "capture-onnx-graph", "--disable_telemetry", "-m", "{checkpoint}", "-o", "{out}")
_ONNXRUNTIME = (
    "python",
    "{here}/quantize_onnxruntime.py",
    "{source}/model.onnx",
    "{rows}",
    "{out}/model.onnx",
)
_NNCF = ("python", "{here}/quantize_nncf.py", "{source}/model.onnx", "{rows}", "{out}/model.onnx")

_FP32 = "optimum-fp32"
KINDS = (
    Kind(name=_FP32, tool="optimum", command=_EXPORT),
    Kind(name="optimum-avx512-vnni", tool="optimum", source=_FP32, command=(*_OPTIMUM, "--avx512_vnni")),
    Kind(name="optimum-avx2", tool="optimum", source=_FP32, command=(*_OPTIMUM, "--avx2", "--per_channel")),
    *(
        Kind(name=f"onnxruntime-{kind}", tool="onnxruntime", source=_FP32, command=(*_ONNXRUNTIME, kind))
        for kind in ("dynamic", "static-default", "static-qdq", "static-qoperator")
    ),
    Kind(name="nncf", tool="nncf", source=_FP32, command=_NNCF),
    Kind(name="olive-fp32", tool="olive", command=(*_CAPTURE, "--task", "question-answering")),
    Kind(
        name="olive-dynamic", tool="olive", source="olive-fp32", command=(*_OLIVE, "OnnxDynamicQuantization")
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    work: Path
    checkpoint: Path
    data: str
    calib: str
    only: tuple[str, ...]


def main() -> None:
    """Make what is missing, import and gate it, print the table."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = [
        "| folder | producer | precision | INT8 coverage | size, MB | F1 | ratio | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        if options.only and not any(word in kind.name for word in options.only):
            continue
        try:
            rows.append(_row(kind, options))
        except ToolFailed as error:
            rows.append(f"| {kind.name} | {error} | | | | | | |")
        print(rows[-1], file=sys.stderr)
    table = "\n".join(rows) + "\n"
    (options.work / "foreign.md").write_text(table, encoding="utf-8")
    print(table)


def _row(kind: Kind, options: Options) -> str:
    made = _make(kind, options)
    artifact = options.work / "imported" / kind.name
    # onnxruntime, NNCF and Olive leave the model alone: its tokenizer and config are those of its FP32.
    places = (made, options.work / "folders" / kind.source, options.checkpoint)
    home = next(place for place in places if (place / "config.json").is_file())
    companions = [] if home == made else ["--companions", str(home)]
    _quantkit("import", made, "-o", artifact, "--force", *companions)
    inspected = _quantkit("inspect", artifact)
    imported = Artifact.open(artifact).manifest.stages[0].facts
    cells = [
        kind.name,
        imported["producer"],
        inspected["precision"],
        f"{100 * inspected['int8_coverage']:.1f} %",
        f"{inspected['size_bytes'] / 1e6:.2f}",
    ]
    if kind.source:
        baseline = options.work / "imported" / kind.source
        report = _quantkit("gate", artifact, "--baseline", baseline, "--data", options.data)
        failed = [
            check["name"] for check in report["checks"] if check["decides"] and check["verdict"] != "pass"
        ]
        cells += [f"{report['candidate_f1']:.3f}", f"{report['ratio']:.6f}"]
        cells.append(report["verdict"] + (f" ({', '.join(failed)})" if failed else ""))
    else:
        cells += [f"{_quantkit('evaluate', artifact, '--data', options.data)['f1']:.3f}", "", ""]
    return f"| {' | '.join(cells)} |"


def _make(kind: Kind, options: Options) -> Path:
    """Return the folder that the tool leaves, making it unless it is there."""
    out = options.work / "folders" / kind.name
    if any(out.glob("*.onnx")):
        return out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    tools = environment(kind.tool, options.work / "envs")
    places = {
        "source": options.work / "folders" / kind.source,
        "out": out,
        "checkpoint": options.checkpoint,
        "here": HERE,
        "rows": options.work / "rows.npz",
    }
    if kind.source and not places["rows"].is_file():
        _write_rows(options, places["rows"])
    program, *arguments = (part.format(**places) for part in kind.command)
    # Olive keeps a cache in the folder it is run in.
    _run([str(tools / "bin" / program), *arguments], folder=options.work)
    return out


def environment(tool: str, folder: Path) -> Path:
    """Return the tool's environment, building it unless it is there."""
    place = folder / tool
    if not (place / "complete").is_file():
        _run([sys.executable, "-m", "venv", "--clear", str(place)])
        _run(
            [
                str(place / "bin" / "pip"),
                "install",
                "--quiet",
                "-r",
                str(HERE / "requirements" / f"{tool}.txt"),
            ]
        )
        (place / "complete").touch()
    return place


def _write_rows(options: Options, path: Path) -> None:
    """Write the calibration questions as the model reads them, for tools that calibrate."""
    artifact = Artifact.open(options.work / "imported" / "optimum-fp32")
    prepared = Reader.of(artifact).prepare(select(options.calib, artifact.task, 100, None, 0).dataset)
    arrays = {}
    for number, row in enumerate(prepared.rows):
        arrays[f"input_ids_{number}"] = row.input_ids[None, :]
        arrays[f"token_type_ids_{number}"] = row.token_type_ids[None, :]
    np.savez(path, allow_pickle=False, **arrays)


def _quantkit(*arguments: str | Path) -> dict[str, Any]:
    """Run a command of quantkit and return its JSON; a verdict that is no pass is no failure."""
    said = _run([sys.executable, "-m", "quantkit", *map(str, arguments), "--json"], codes=(0, 3, 4))
    found: dict[str, Any] = json.loads(said)
    return found


def _run(command: Sequence[str], *, codes: Sequence[int] = (0,), folder: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TQDM_DISABLE": "1"},
    )
    if done.returncode not in codes:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ToolFailed(lines[-1] if lines else f"ended with exit code {done.returncode}")
    return done.stdout


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, default=quickstart_model())
    parser.add_argument("--data", default="callcentre")
    parser.add_argument("--calib", default="callcentre")
    parser.add_argument("--only", nargs="*", default=())
    found = parser.parse_args()
    return Options(
        work=found.work.resolve(),
        checkpoint=found.checkpoint.resolve(),
        data=found.data,
        calib=found.calib,
        only=tuple(found.only),
    )


if __name__ == "__main__":
    main()
