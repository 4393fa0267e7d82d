"""The safetensors reader: agrees with files of any content, and refuses any damage."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantkit.checkpoint.safetensors import read_header, require_finite
from quantkit.errors import CheckpointError

SIZES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "I64": 8}


def write(path: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
TENSORS = st.dictionaries(
    st.text(min_size=1, max_size=8), st.tuples(st.sampled_from(sorted(SIZES)), SHAPES), min_size=1, max_size=4
)
QUIET = settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@QUIET
@given(TENSORS)
def test_the_header_gives_back_what_was_written(
    tmp_path: Path, tensors: dict[str, tuple[str, tuple[int, ...]]]
) -> None:
    """Names, types and shapes of any file are read back."""
    tensors.pop("__metadata__", None)
    path = tmp_path / "a.safetensors"
    filled = {
        name: (dtype, shape, bytes(SIZES[dtype] * int(np.prod(shape, dtype=int))))
        for name, (dtype, shape) in tensors.items()
    }
    write(path, filled or {"a": ("F32", (1,), bytes(4))})
    found = read_header(path)
    assert {name: (entry.dtype, entry.shape) for name, entry in found.items()} == (
        tensors or {"a": ("F32", (1,))}
    )
    require_finite(found)


@QUIET
@given(st.integers(0, 200))
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, cut: int) -> None:
    """Whatever is missing at the end, the file is refused and no other error is raised."""
    path = tmp_path / "b.safetensors"
    write(path, {"weight": ("F32", (3, 5), bytes(60)), "bias": ("F32", (5,), bytes(20))})
    content = path.read_bytes()
    path.write_bytes(content[: min(cut, len(content) - 1)])
    with pytest.raises(CheckpointError, match="damaged or truncated"):
        read_header(path)


@QUIET
@given(st.binary(max_size=200))
def test_bytes_that_are_no_safetensors_are_refused(tmp_path: Path, content: bytes) -> None:
    """Any other bytes are refused and no other error is raised."""
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        read_header(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_values_that_are_not_finite_are_found(tmp_path: Path, dtype: str, bad: float) -> None:
    """NaN and both infinities are found in every floating-point type, and the tensor is named."""
    numbers = np.array([1.0, -2.5, 0.0, bad, 3.0], np.float32)
    packed = {
        "F16": numbers.astype("<f2").tobytes(),
        # bfloat16 is the upper half of float32.
        "BF16": (numbers.view("<u4") >> 16).astype("<u2").tobytes(),
        "F32": numbers.tobytes(),
        "F64": numbers.astype("<f8").tobytes(),
    }[dtype]
    path = tmp_path / "d.safetensors"
    write(path, {"fine": ("F32", (2,), bytes(8)), "broken": (dtype, (5,), packed)})
    with pytest.raises(CheckpointError, match="the weight broken has NaN or infinite"):
        require_finite(read_header(path))


def test_the_largest_finite_values_are_accepted(tmp_path: Path) -> None:
    """Values next to infinity are still finite."""
    path = tmp_path / "e.safetensors"
    half = np.array([65504.0, -65504.0], "<f2").tobytes()
    brain = np.array([0x7F7F, 0xFF7F], "<u2").tobytes()
    write(path, {"half": ("F16", (2,), half), "brain": ("BF16", (2,), brain)})
    require_finite(read_header(path))


@pytest.mark.parametrize(
    ("first", "second"), [((0, 4), (0, 4)), ((0, 4), (4, 8)), ((4, 8), (0, 4)), ((0, 4), (8, 12))]
)
def test_tensors_lie_one_behind_the_other(
    tmp_path: Path, first: tuple[int, int], second: tuple[int, int]
) -> None:
    """In any order, without a gap, and no byte belongs to two."""
    entries = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": span}
        for name, span in (("a", first), ("b", second))
    }
    header = json.dumps(entries).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(max(first[1], second[1])))
    if {first, second} == {(0, 4), (4, 8)}:
        assert set(read_header(path)) == {"a", "b"}
        return
    with pytest.raises(CheckpointError, match="b does not begin where the tensor before it ends"):
        read_header(path)
