"""The API: functions that do what the commands do, and a model that answers."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import quantkit
from quantkit.artifact import Artifact
from quantkit.errors import UsageError


def test_import_is_light() -> None:
    """`import quantkit` imports neither a runtime nor what checks settings."""
    said = subprocess.run(
        [sys.executable, "-c", "import quantkit, sys; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"onnxruntime", "numpy", "torch", "pydantic", "click"}.isdisjoint(said.stdout.split())


def test_names() -> None:
    """Every name that type checkers are told of is there, and documented; no other is."""
    stub = (Path(quantkit.__file__).parent / "__init__.pyi").read_text(encoding="utf-8")
    promised = set(re.findall(r" as (\w+)$", stub, re.MULTILINE))
    assert {name for name in promised if getattr(quantkit, name).__doc__} == promised
    assert promised <= set(dir(quantkit))
    with pytest.raises(AttributeError, match="no attribute 'exprot'"):
        getattr(quantkit, "exprot")  # noqa: B009  (type checkers know that it is not there)


def test_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's code runs as it stands there, from a checkpoint to an answer of the published model.

    The INT8 artifact answers in onnxruntime with tokenizers alone, as another page shows (`ask.py`).
    """
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(block, done)
    assert done["verdict"].verdict == "pass"
    assert done["answer"].text in "Ada Lovelace called about the printer."
    assert 0 <= done["answer"].score <= 1
    other = (Path(__file__).parents[2] / "docs" / "coming-from" / "index.md").read_text(encoding="utf-8")
    capsys.readouterr()
    exec(other.split('```python title="ask.py"\n')[1].split("```")[0], {})
    assert capsys.readouterr().out == "round vacuum\n"
    int8 = done["int8"]
    assert quantkit.evaluate("int8", data="callcentre").questions == 501
    assert quantkit.inspect(int8).int8_coverage == 1.0
    with quantkit.load(int8, threads=1) as model:
        first, second = model.answers([("Who called?", "Ada Lovelace called about the printer.")] * 2)
        assert first == second
        assert model.answers([]) == []
        with pytest.raises(UsageError, match="is for squad; classify is for text-classification"):
            model.classify("a text")
    with pytest.raises(UsageError, match="was made without a search"):
        quantkit.search_report(int8)


def test_classifier(tiny_classifier: Path, tmp_path: Path) -> None:
    """A classifier gives every label its probability, the most probable first."""
    fp32 = quantkit.export(tiny_classifier / "checkpoint", tmp_path / "fp32", task="text-classification")
    with quantkit.load(fp32, threads=1) as model:
        labels = model.classify("my parcel has not arrived")
        assert model.classifications(["my parcel has not arrived"]) == [labels]
    assert sum(label.score for label in labels) == pytest.approx(1, abs=1e-6)
    assert [label.score for label in labels] == sorted((label.score for label in labels), reverse=True)


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"mdoe": "static"}, r"quantkit\.quantize: mdoe: unknown key; did you mean mode\?"),
        ({"mode": "sttaic"}, r"quantkit\.quantize: mode: expected .*; did you mean static\?"),
        ({"mode": "auto", "auto": {"target": 99.9}}, r"quantkit\.quantize: auto\.target: "),
    ],
)
def test_wrong_keyword(keywords: dict[str, object], said: str, tmp_path: Path) -> None:
    """A keyword that does not exist or fit is told by its name, before anything is opened."""
    with pytest.raises(UsageError, match=said):
        quantkit.quantize(Artifact.__new__(Artifact), tmp_path / "int8", **keywords)
    assert not (tmp_path / "int8").exists()
