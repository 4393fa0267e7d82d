"""Weights of safetensors files as numpy arrays, read and written without torch."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from quantkit.checkpoint.files import WeightFiles
from quantkit.checkpoint.safetensors import TensorEntry, read_header
from quantkit.errors import CheckpointError
from quantkit.files import naming_output_errors

_ALIGNMENT = 8


class Weights(Mapping[str, np.ndarray]):
    """The weights of a checkpoint by name, each read when it is looked up, as float32."""

    def __init__(self, files: WeightFiles) -> None:
        """Read the headers.

        Raises:
            CheckpointError: the weights are pickles, or a file is damaged.
        """
        self._entries: dict[str, TensorEntry] = {}
        for path in files.paths:
            if files.pickled:
                raise CheckpointError(
                    f"{path}: is a pickle, which is not read here; save the checkpoint as safetensors"
                )
            self._entries |= read_header(path)

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        width = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}.get(entry.dtype, "")
        if not width:
            raise CheckpointError(f"{entry.path}: {name} is {entry.dtype}, which is no weight of an encoder")
        raw = np.memmap(entry.path, width, "r", offset=entry.begin, shape=entry.shape)
        if entry.dtype == "BF16":
            widened: np.ndarray = (raw.astype(np.uint32) << 16).view(np.float32)
            return widened
        return np.asarray(raw, np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def write_weights(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write a safetensors file of float32 weights; the same weights give the same bytes.

    Raises:
        OutputError: it cannot be written.
    """
    arrays = {name: np.ascontiguousarray(weights[name], np.float32) for name in sorted(weights)}
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [begin, begin + array.nbytes],
        }
        begin += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with naming_output_errors(path), path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(array.tobytes())
