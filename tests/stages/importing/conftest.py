"""Folders as other tools leave them, made from the quickstart checkpoint with onnxruntime's own quantizers."""

import contextlib
import io
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from quantkit.artifact import Artifact
from quantkit.recipe.settings import ExportSettings
from quantkit.shipped import quickstart_model

CHECKPOINT = quickstart_model()
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def plain_fp32(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return the quickstart checkpoint, exported and not fused, once for all tests; do not write into it."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from quantkit.stages.export import export

    out = tmp_path_factory.mktemp("plain") / "fp32"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return export(str(CHECKPOINT), out, task="squad", settings=ExportSettings())


@pytest.fixture
def make_folder(tmp_path: Path, plain_fp32: Artifact) -> MakeFolder:
    """Return a function that makes a folder of another tool: the exported model under a name, with its companions."""

    def make(name: str = "theirs", *, model: str = "model.onnx", companions: bool = True) -> Path:
        folder = tmp_path / name
        (folder / model).parent.mkdir(parents=True)
        shutil.copyfile(plain_fp32.model_path, folder / model)
        if companions:
            for file in ("config.json", *TOKENIZER):
                shutil.copyfile(CHECKPOINT / file, folder / file)
        return folder

    return make


@pytest.fixture(scope="session")
def quantized(plain_fp32: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that quantizes the exported model with onnxruntime, each way once for all tests."""
    folder = tmp_path_factory.mktemp("quantized")

    def quantize(kind: str, *, weights: str = "QInt8") -> Path:
        out = folder / f"{kind}-{weights}.onnx"
        if not out.is_file():
            _quantize(plain_fp32.model_path, out, kind, weights)
        return out

    return quantize


@pytest.fixture
def make_quantized(make_folder: MakeFolder, quantized: Callable[..., Path]) -> MakeFolder:
    """Return a function that makes what `optimum-cli onnxruntime quantize` leaves: names, files, an ort_config.json."""

    def make(kind: str = "dynamic", *, name: str = "theirs-int8", weights: str = "QInt8") -> Path:
        folder = make_folder(name)
        (folder / "model.onnx").unlink()
        shutil.copyfile(quantized(kind, weights=weights), folder / "model_quantized.onnx")
        config = {"quantization": {"is_static": kind != "dynamic"}, "use_external_data_format": False}
        (folder / "ort_config.json").write_text(json.dumps(config))
        return folder

    return make


def _quantize(source: Path, out: Path, kind: str, weights: str) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    static = {
        "static-default": (QuantFormat.QDQ, QuantType.QInt8),
        "static-qdq": (QuantFormat.QDQ, QuantType.QUInt8),
        "static-qoperator": (QuantFormat.QOperator, QuantType.QUInt8),
    }
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "dynamic":
            quantize_dynamic(source, out, weight_type=QuantType[weights])
            return
        layout, activations = static[kind]
        quantize_static(
            source,
            out,
            _reader(),
            quant_format=layout,
            activation_type=activations,
            weight_type=QuantType[weights],
            op_types_to_quantize=["MatMul", "Gather"],
        )


def _reader() -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Rows(CalibrationDataReader):
        """Four rows of random tokens."""

        def __init__(self) -> None:
            random = np.random.default_rng(0)
            self._rows = iter([random.integers(5, 2000, (1, 48)) for _ in range(4)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            ids = next(self._rows, None)
            if ids is None:
                return None
            return {
                "input_ids": ids,
                "attention_mask": np.ones_like(ids),
                "token_type_ids": np.zeros_like(ids),
            }

    return Rows()


@pytest.fixture
def change_model() -> Callable[[Path, Callable[[onnx.ModelProto], Any]], None]:
    """Return a function that changes an ONNX file in place."""

    def change(path: Path, edit: Callable[[onnx.ModelProto], Any]) -> None:
        model = onnx.load(path)
        edit(model)
        onnx.save(model, path)

    return change
