"""Names made to do harm: of releases, channels, listed files and datasets. Refused in one line, or harmless."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from quantkit.artifact import FileRecord, Manifest
from quantkit.artifact.manifest import NAME, files_digest
from quantkit.cli.main import _explain
from quantkit.errors import MISTAKE
from quantkit.files import inside
from quantkit.registry import DirectoryRegistry
from quantkit.registry.channels import checked_channel
from quantkit.registry.oci.location import Location
from quantkit.registry.reference import Reference
from quantkit.tasks.datasets import load

NAMES = {
    "nothing": "",
    "here": ".",
    "above": "..",
    "a file above": "../x",
    "a file far above": "a/../../x",
    "above by a backslash": "..\\x",
    "the root": "/",
    "a file of the system": "/etc/passwd",
    "two slashes": "//x",
    "a slash at the end": "../",
    "a null byte": "a\0b",
    "a null byte before the end": "model.onnx\0.txt",
    "a line feed": "a\nb",
    "a carriage return": "fail\rpass",
    "an escape": "\x1b[2J",
    "a line that turns around": "a\u202eb",
    "an order to a job": "\n::set-output name=verdict::pass",
    "an order to a build": "##vso[task.complete result=Succeeded;]",
    "half a pair": "a\ud800",
    "markup": "[/x]",
    "HTML": "<script>alert(1)</script>",
    "a command": "$(id)",
    "a command behind a semicolon": "x; rm -rf ~",
    "an option": "--force",
    "a home": "~root",
    "a format": "%s%n{0}",
    "escaped dots": "%2e%2e/x",
    "an address": "http://localhost/x",
    "300 letters": "a" * 300,
    "5,000 digits": "9" * 5000,
    "spaces": " a ",
    "wide dots": "\uff0e\uff0e/x",
}


def _listed(name: str, folder: Path) -> None:
    """Read a manifest that lists a file of this name, with a seal that fits."""
    records = {name: FileRecord(sha256="0" * 64, size=1)}
    try:
        digest = files_digest(records)
    except UnicodeEncodeError:  # a forger's own tools cannot write it: half a pair stands there in escapes
        (folder / NAME).write_text(json.dumps({"schema": "quantkit/manifest/1", "files": {name: {}}}))
    else:
        manifest = Manifest(digest=digest, task="squad", architecture="bert", precision="fp32", files=records)
        (folder / NAME).write_text(manifest.serialized(), encoding="utf-8")
    read = Manifest.read(folder)
    for path in (inside(folder, listed) for listed in read.files):
        assert path.resolve().is_relative_to(folder)
    read.check_files(folder)


def _resolved(name: str, folder: Path) -> None:
    DirectoryRegistry(folder / "registry").verify(name)


KINDS: dict[str, Callable[[str, Path], object]] = {
    "name": lambda name, _: Reference.checked(name, "1"),
    "version": lambda name, folder: DirectoryRegistry(folder).verify(f"tiny:{name}"),
    "channel": lambda name, _: checked_channel(name),
    "reference": _resolved,
    "registry": lambda name, _: Location.parse(f"oci://{name}"),
    "listed file": _listed,
    "dataset": lambda name, folder: load(f"{name}.json", "squad", folder),
}


WORDS = {"name": {"300 letters", "5,000 digits"}, "registry": {"300 letters", "5,000 digits"}}
"""Words like others, where nothing has such a name."""


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_refused(kind: str, tmp_path: Path) -> None:
    """Whatever it is called, there is one line that a terminal can show, exit code 2, and nothing is made."""
    harmless = set()
    said: dict[str, tuple[str | None, int]] = {}
    for case, name in NAMES.items():
        before = sorted(tmp_path.rglob("*"))
        try:
            KINDS[kind](name, tmp_path)
        except Exception as error:  # noqa: BLE001 - as the command line does
            said[case] = _explain(error)
        else:
            harmless.add(case)
        (tmp_path / NAME).unlink(missing_ok=True)
        assert sorted(tmp_path.rglob("*")) == before, case
    assert {
        case: (line or "").isprintable() and code for case, (line, code) in said.items()
    } == dict.fromkeys(said, MISTAKE)
    assert harmless == WORDS.get(kind, set())
