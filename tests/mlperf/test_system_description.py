"""A system description: the machine's own facts, the user's words before them, and what is missing by name."""

import json
from pathlib import Path

import pytest

from quantkit.errors import UsageError
from quantkit.mlperf.rules import MEANINGFUL_FIELDS, SYSTEM_FIELDS
from quantkit.mlperf.system_description import describe, missing_fields, read_description


def test_fields() -> None:
    """There are 35 fields, all there; what the machine tells is filled in and what it cannot is missing."""
    description = describe({}, division="open", submitter="Acme", system_name="box")
    assert len(SYSTEM_FIELDS) == len(set(SYSTEM_FIELDS)) == 35
    assert list(description) == list(SYSTEM_FIELDS)
    missing = missing_fields(description)
    assert set(missing) >= {"cooling", "status", "system_type", "host_networking"}
    assert {"framework", "host_processor_model_name", "accelerators_per_node"}.isdisjoint(missing)
    assert description["framework"].startswith("ONNX Runtime ")


def test_given_words_win() -> None:
    """What the user says stands before what the machine says, and fields of his own are kept."""
    given = dict.fromkeys(MEANINGFUL_FIELDS, "given") | {"status": "preview", "system_type": "edge"}
    given |= {"division": "open", "submitter": "Acme", "my_field": "mine"}
    description = describe(given, division="open", submitter="Acme")
    assert (description["framework"], description["my_field"]) == ("given", "mine")
    assert missing_fields(description) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"status": "someday"}, "status is 'someday'; choose one of available"),
        ({"system_type": "cloud"}, "system_type is 'cloud'"),
        ({"division": "closed"}, "division is 'closed', but --division says 'open'"),
    ],
)
def test_contradictions(given: dict[str, str], said: str) -> None:
    """A field with a wrong value is an error before anything runs."""
    with pytest.raises(UsageError, match=said):
        describe(given, division="open", submitter="Acme")


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"cooling": null}', '{"cooling": ["air"]}', '{"cooling": true}']
)
def test_unreadable(tmp_path: Path, content: str) -> None:
    """A file that is no description is one line."""
    path = tmp_path / "box.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"box\.json: "):
        read_description(path)


def test_numbers_are_text(tmp_path: Path) -> None:
    """A number in the file is as good as its text; a file there is not is an error."""
    path = tmp_path / "box.json"
    path.write_text(json.dumps({"number_of_nodes": 1}))
    assert read_description(path) == {"number_of_nodes": "1"}
    with pytest.raises(UsageError, match="no such file"):
        read_description(tmp_path / "nothing.json")
