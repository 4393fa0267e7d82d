"""Records: frozen, strict, and read back only as what they are."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from quantkit.errors import ArtifactError
from quantkit.records import Inspection

CONTENT = {
    "schema": "quantkit/inspection/1",
    "artifact": "a" * 64,
    "architecture": "bert",
    "task": "squad",
    "precision": "int8",
    "parameters": 1_000,
    "size_bytes": 1_000,
    "fused": {},
    "kernels": {"MatMulInteger": 3},
    "int8_coverage": 0.9,
}


def written(folder: Path, text: str) -> Path:
    path = folder / "inspection.json"
    path.write_text(text)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A report is the same after a walk through its file."""
    report = Inspection.model_validate(CONTENT)
    assert Inspection.read(written(tmp_path, json.dumps(report.as_json()))) == report


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": "quantkit/inspection/9"}, r"is not a quantkit/inspection/1 report"),
        ({"more": 1}, r"more: Extra inputs are not permitted"),
        ({"parameters": "many"}, r"parameters: .*valid integer"),
        ({"int8_coverage": float("nan")}, r"is not JSON \(NaN"),
        ({"tools": {"torch": float("inf")}}, r"is not JSON \(Infinity"),
    ],
)
def test_what_is_no_such_report_is_one_line(tmp_path: Path, changes: dict, said: str) -> None:
    """Another version, an unknown key, a wrong type or NaN: the file and the reason are named."""
    with pytest.raises(ArtifactError, match=rf"inspection.json: {said}"):
        Inspection.read(written(tmp_path, json.dumps(CONTENT | changes)))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "\udcff"])
def test_what_is_no_json_is_one_line(tmp_path: Path, text: str) -> None:
    """Anything but a report is an error that names the file."""
    path = tmp_path / "inspection.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ArtifactError, match=r"inspection.json: "):
        Inspection.read(path)


def test_missing_report_is_one_line(tmp_path: Path) -> None:
    """The file that is asked for is named."""
    with pytest.raises(ArtifactError, match=r"inspection.json: no such report"):
        Inspection.read(tmp_path / "inspection.json")


def test_a_record_does_not_change() -> None:
    """What was observed stays."""
    report = Inspection.model_validate(CONTENT)
    with pytest.raises(ValidationError, match="frozen"):
        report.parameters = 2
