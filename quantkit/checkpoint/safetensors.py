"""The safetensors format, read without torch: names and shapes, and whether all values are finite.

A file is 8 bytes of header length n (little-endian), n bytes of JSON (name -> dtype, shape, data_offsets),
then the data without gaps (https://github.com/huggingface/safetensors, "Format").
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import CheckpointError
from quantkit.strict_json import parse_json

_HEADER_LIMIT = 100_000_000  # the format's own limit
_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "I64": 8,
    "U64": 8,
    "F64": 8,
}
_CHUNK = 1 << 22  # values looked at in one go: bounds the memory of the check


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorEntry:
    """One tensor of a file.

    Attributes:
        path: the file.
        dtype: the format's name of it, such as F32 or BF16.
        shape: sizes of its dimensions.
        begin: its first byte, counted from the beginning of the file.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int

    @property
    def count(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Return the tensors of a file by name.

    Raises:
        CheckpointError: it cannot be read, is not safetensors, or is truncated.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, _HEADER_LIMIT):
                raise _broken(path, "its header is cut off or is none")
            header = parse_json(stream.read(length))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}; check its permissions") from None
    except ValueError:
        raise _broken(path, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _broken(path, "its header is not a JSON object")
    entries: dict[str, TensorEntry] = {}
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        entries[name], last = _entry(path, name, entry, 8 + length)
        spans.append((entries[name].begin, 8 + length + last, name))
    if not entries:
        raise _broken(path, "it holds no tensors")
    end = max(last for _, last, _ in spans)
    if end != size:
        raise _broken(path, f"it has {size} bytes where its header says {end}")
    _check_spans(path, sorted(spans), 8 + length)
    return entries


def _check_spans(path: Path, spans: list[tuple[int, int, str]], begin: int) -> None:
    """Check that tensors lie one behind the other, as the format has it.

    Raises:
        CheckpointError: there is a gap, or bytes belong to two tensors.
    """
    for first, last, name in spans:
        if first != begin:
            raise _broken(path, f"{name} does not begin where the tensor before it ends")
        begin = last


def require_finite(entries: dict[str, TensorEntry]) -> None:
    """Look at every floating-point value, in chunks of a memory map.

    Raises:
        CheckpointError: one is NaN or infinite; it names the tensor.
    """
    maps: dict[Path, NDArray[np.uint8]] = {}
    for name, entry in entries.items():
        if entry.dtype not in ("F16", "BF16", "F32", "F64"):
            continue
        data = maps.setdefault(entry.path, np.memmap(entry.path, np.uint8, "r"))
        width = _BYTES[entry.dtype]
        for start in range(0, entry.count, _CHUNK):
            begin = entry.begin + start * width
            bytes_ = data[begin : entry.begin + min(start + _CHUNK, entry.count) * width]
            if not _all_finite(bytes_, entry.dtype):
                raise CheckpointError(
                    f"{entry.path}: the weight {name} has NaN or infinite values; the training went wrong, "
                    "or the file is damaged: take another checkpoint"
                )


def _all_finite(data: NDArray[np.uint8], dtype: str) -> bool:
    if dtype == "BF16":
        # numpy has no bfloat16: all eight exponent bits set mean NaN or infinity.
        return not bool(((data.view("<u2") & 0x7F80) == 0x7F80).any())
    return bool(np.isfinite(data.view({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype])).all())


def _entry(path: Path, name: str, entry: Any, data: int) -> tuple[TensorEntry, int]:
    try:
        dtype, shape = str(entry["dtype"]), tuple(int(size) for size in entry["shape"])
        begin, end = (int(offset) for offset in entry["data_offsets"])
    except (KeyError, TypeError, ValueError):
        raise _broken(path, f"its header does not describe {name}") from None
    if min((begin, *shape)) < 0 or end - begin != math.prod(shape) * _BYTES.get(dtype, 1):
        raise _broken(path, f"its header contradicts itself at {name}")
    if dtype not in _BYTES:
        raise CheckpointError(
            f"{path}: the weight {name} is stored as {dtype}, which is quantized; give the checkpoint in "
            "float32, float16 or bfloat16"
        )
    return TensorEntry(path=path, dtype=dtype, shape=shape, begin=data + begin), end


def _broken(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path}: is damaged or truncated: {why}; copy or download it again")
