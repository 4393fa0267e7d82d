"""What a stage cost."""

import sys

import pytest

from quantkit.artifact import Ingredients
from quantkit.artifact.measure import measuring, tool_versions


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


def test_a_record_has_the_key_and_the_tools_of_its_ingredients() -> None:
    """What the manifest says of a stage is what resuming compares."""
    made_of = Ingredients(inputs={"artifact": "a"}, tools={"onnx": "1"})
    with measuring() as watch:
        record = watch.record("fuse", ingredients=made_of)
    assert (record.key, record.tools) == (made_of.key("fuse"), {"onnx": "1"})
