"""The notebooks run from top to bottom."""

import gc
import json
import re
from pathlib import Path

import pytest

import quantkit

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))

SLOW = {"03-find-a-smaller-architecture"}
"""They search and train: minutes. `.ci/run` runs them too."""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])
        for path in NOTEBOOKS
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_runs(path: Path, tmp_path: Path) -> None:
    """Every cell runs without an error, and pictures are drawn."""
    pytest.importorskip("torch")
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=3000, resources={"metadata": {"path": str(tmp_path)}}).execute()
    # The kernel's process is forgotten here, and not in another test, where a warning is an error.
    gc.collect()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_there_are_notebooks() -> None:
    """The parametrization above is not empty."""
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_the_api(path: Path) -> None:
    """Of quantkit a notebook uses the functions, the errors, and the generator of questions; nothing inside."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    imported = set(re.findall(r"^(?:from|import) (quantkit[\w.]*)", code, re.MULTILINE))
    assert imported <= {"quantkit", "quantkit.errors", "quantkit.quickstart.generate"}
    used = set(re.findall(r"\bquantkit\.(\w+)\(", code))
    assert used
    assert used <= set(dir(quantkit))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs(path: Path) -> None:
    """What is stored was run from top to bottom in one go, without an error or a word on stderr, and has pictures."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    if all(cell["execution_count"] is None for cell in code):
        pytest.skip(f"{path.name} is stored without outputs; execute it and store it")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    assert any("image/png" in output.get("data", {}) for output in outputs)
