"""A folder without model.safetensors is told what it holds in its place."""

from pathlib import Path

import pytest

from quantkit.checkpoint.other_weights import other_weights


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("model.fp16.safetensors", "a variant of the weights"),
        ("model.fp16.safetensors.index.json", "a variant of the weights"),
        ("diffusion_pytorch_model.safetensors", "weights under a name of its own"),
        ("adapter_model.safetensors", "a PEFT adapter"),
        ("tf_model.h5", "weights of TensorFlow"),
        ("flax_model.msgpack", "weights of Flax"),
        ("model.onnx", "an ONNX model"),
        ("model.q8.gguf", "quantized weights of llama.cpp"),
        ("epoch=1.ckpt", "a pickle of a training script"),
        ("best.pt", "a pickle of a training script"),
        ("training_args.bin", None),
        ("optimizer.pt", None),
        ("config.json", None),
    ],
)
def test_what_is_there_is_named(name: str, what: str | None, tmp_path: Path) -> None:
    """Weights of other tools and other names are named; what no weights are in is not."""
    (tmp_path / name).touch()
    found = other_weights(tmp_path)
    assert (found is None) == (what is None)
    assert (found or "").partition(" (")[2].startswith(what or "")
