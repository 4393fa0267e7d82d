"""The API: functions that do what the commands do, and a model that answers."""

import re
import subprocess
import sys
from pathlib import Path

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


def test_line(tmp_path: Path) -> None:
    """Checkpoint to a registry in the API's words; the published model answers."""
    fp32 = quantkit.export("quickstart", tmp_path / "fp32")
    int8 = quantkit.quantize(fp32, tmp_path / "int8", mode="dynamic")
    verdict = quantkit.gate(
        int8, tmp_path / "fp32", data="callcentre", untrusted=False, min_ratio=0.9, resamples=100
    )
    assert verdict.verdict == "pass"
    assert quantkit.evaluate(int8, data="callcentre").questions == 501
    assert quantkit.inspect(int8).int8_coverage == 1.0
    place = quantkit.publish(int8, tmp_path / "registry", name="tiny", version="1.0.0")
    assert isinstance(place, Path)
    with quantkit.load(place, threads=1) as model:
        found = model.answers([("Who called?", "Ada Lovelace called about the printer.")] * 2)
        assert found[0] == found[1]
        assert found[0].text in "Ada Lovelace called about the printer."
        assert 0 <= found[0].score <= 1
        assert model.answers([]) == []
        with pytest.raises(UsageError, match="is for squad; classify is for text-classification"):
            model.classify("a text")
    with pytest.raises(UsageError, match="was made without a search"):
        quantkit.search_report(int8)


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
