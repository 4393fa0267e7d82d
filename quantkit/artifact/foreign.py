"""Folders of other tools: where their ONNX files are, and the line that makes an artifact of one.

optimum, Olive, onnxruntime and NNCF leave a model under any name, in the folder or in one below it (`onnx/`), and
tokenizer and config beside it or above. `quantkit import` takes such a folder.
"""

import shlex
from pathlib import Path

from quantkit.strict_json import read_json

_TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
}


def onnx_files(folder: Path) -> list[str]:
    """Return the names, sorted, of the ONNX files in a folder and in the folders right below it."""
    found = [*folder.glob("*.onnx"), *folder.glob("[!.]*/*.onnx")]
    return sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())


def import_line(folder: Path) -> str | None:
    """Return the command that imports a folder, ready to type; None for a folder without ONNX."""
    names = onnx_files(folder)
    if not names:
        return None
    parts = ["quantkit", "import", str(folder), "-o", f"{folder.resolve().name}-imported"]
    if len(names) > 1:
        parts += ["--model", names[0]]
    task = _task(folder)
    if task:
        parts += ["--task", task]
    return shlex.join(parts)


def _task(folder: Path) -> str | None:
    try:
        names = [str(name) for name in read_json(folder / "config.json")["architectures"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return next((task for name in names for head, task in _TASKS.items() if name.endswith(head)), None)
