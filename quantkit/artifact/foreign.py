"""Folders of other tools: where their ONNX files are, and the line that makes an artifact of one.

optimum, Olive, onnxruntime and NNCF leave a model under any name, in the folder or in one below it (`onnx/`), and
tokenizer and config beside it or above. `quantkit import` takes such a folder.
"""

import shlex
from pathlib import Path

from quantkit.strict_json import read_json

_CLASSIFIES = "ForSequenceClassification"
_TAGS = "ForTokenClassification"


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
    if task is not None:
        parts += ["--task", task]
    return shlex.join(parts)


def _task(folder: Path) -> str | None:
    """Return the task of a classifier of texts or of words as its config.json tells, None for everything else."""
    try:
        config = read_json(folder / "config.json")
        names = [str(name) for name in config["architectures"]]
        if any(name.endswith(_TAGS) for name in names):
            return "token-classification"
        if not any(name.endswith(_CLASSIFIES) for name in names):
            return None
        if config.get("problem_type") == "multi_label_classification":
            return "multi-label-classification"
        one = config.get("problem_type") == "regression" or len(config.get("id2label", ())) == 1
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return "text-regression" if one else "text-classification"
