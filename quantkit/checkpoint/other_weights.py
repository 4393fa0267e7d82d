"""Weights under other names than those that are read: what they are, and what to do with them."""

import re
from pathlib import Path

_FROM = "load it there with from_{0}=True in transformers 4 and save_pretrained() it as safetensors"
_KINDS = (
    (
        r"adapter_(config\.json|model\..+)",
        "a PEFT adapter, not a model",
        "merge it into its base model first",
    ),
    (
        r"model\.(?!safetensors)[\w-]+\.safetensors(\.index\.json)?",
        "a variant of the weights under a name of its own",
        "rename it to model.safetensors",
    ),
    (
        r".+\.safetensors",
        "weights under a name of its own",
        "rename it to model.safetensors, if they are this model's",
    ),
    (r"tf_model.*\.h5", "weights of TensorFlow", _FROM.format("tf")),
    (r".+\.ckpt\.index", "a checkpoint of TensorFlow 1", _FROM.format("tf")),
    (r"flax_model.*\.msgpack", "weights of Flax", _FROM.format("flax")),
    (r".+\.onnx", "an ONNX model, no checkpoint", "quantkit import takes it"),
    (r".+\.gguf", "quantized weights of llama.cpp", "give the float checkpoint"),
    (
        r"(?!training_args|optimizer|scheduler|scaler|rng_state).+\.(pt|pth|ckpt|bin)",
        "a pickle of a training script",
        "load it in that script and save_pretrained() the model",
    ),
)


def other_weights(folder: Path) -> str | None:
    """Return what a folder without the usual weights holds in their place, and what to do; None when nothing known.

    Args:
        folder: of a checkpoint, without `model.safetensors` and `pytorch_model.bin`.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    for pattern, what, advice in _KINDS:
        for name in names:
            if re.fullmatch(pattern, name):
                return f"has no model.safetensors but {name} ({what}); {advice}"
    return None
