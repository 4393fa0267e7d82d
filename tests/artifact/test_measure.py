"""What a stage cost."""

import sys

import pytest

from quantkit.artifact.measure import measuring, stage_key, tool_versions


def test_key_changes_with_every_ingredient() -> None:
    """Stage, inputs, settings and tools each make another key; the same ones make the same."""
    keys = {
        stage_key("fuse", ("a",), {"x": 1}, {"onnx": "1"}),
        stage_key("export", ("a",), {"x": 1}, {"onnx": "1"}),
        stage_key("fuse", ("b",), {"x": 1}, {"onnx": "1"}),
        stage_key("fuse", ("a",), {"x": 2}, {"onnx": "1"}),
        stage_key("fuse", ("a",), {"x": 1}, {"onnx": "2"}),
    }
    assert len(keys) == 5
    assert stage_key("fuse", ("a",), {"x": 1}, {"onnx": "1"}) in keys


def test_absent_packages_have_no_version() -> None:
    """A package that is not installed is left out, not guessed."""
    assert set(tool_versions("no-such-package-anywhere")) == {"quantkit", "python"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process reset its peak")
def test_peak_memory_is_of_the_block() -> None:
    """What an earlier block needed does not count for a later one."""
    with measuring() as first:
        bytearray(200_000_000)
    before = first.record("first").peak_memory_bytes
    with measuring() as second:
        pass
    after = second.record("second").peak_memory_bytes
    assert after < before - 100_000_000
