"""An artifact as a folder that sentence-transformers loads: its tokenizer and modules, and the graph in `onnx/`.

    SentenceTransformer(folder, backend="onnx", model_kwargs={"file_name": "model_qint8_avx512_vnni.onnx"})

sentence-transformers pools and normalizes itself. So the graph there ends where the artifact's pooling begins, and
gives `last_hidden_state` [batch, sequence, hidden]; all else of it is the artifact's.
"""

from pathlib import Path
from typing import Any

import onnx_ir as ir

from quantkit.artifact import Artifact
from quantkit.artifact.artifact import COMPANIONS, require_apart
from quantkit.errors import ArtifactError
from quantkit.files import new_folder, write_bytes, write_json
from quantkit.graph.model import has_external_data, load_model, save_model
from quantkit.progress import step
from quantkit.runtime.hold import hold
from quantkit.tasks.lengths import lengths_of
from quantkit.tasks.tokenizer_files import SENTENCE_SETTINGS

SIMILARITY = "sentence-similarity"
_POOLING = "/pooling/"
_HIDDEN = "last_hidden_state"
# How transformers' side names the CPUs that an INT8 file is made for; others keep quantkit's word.
_SUFFIXES = {"avx512_vnni": "avx512_vnni", "avx2": "avx2", "arm64": "arm64"}
_MODULE = "sentence_transformers.models"


def write_sentence_folder(artifact: Artifact, out: Path, *, force: bool = False) -> Path:
    """Write the folder and return the path of the ONNX file in it.

    Args:
        artifact: FP32 or INT8, of the task `sentence-similarity`.
        out: the folder, which is made.
        force: replace what is at `out`.

    Raises:
        ArtifactError: the artifact makes no embeddings, or quantkit did not pool them.
        OutputError: `out` cannot be written.
    """
    if artifact.task != SIMILARITY:
        raise ArtifactError(
            f"{artifact.path}: does {artifact.task}, and sentence-transformers loads what makes embeddings; "
            f"give an artifact of {SIMILARITY}"
        )
    require_apart(out, artifact)
    facts = _pooling_facts(artifact)
    file = f"onnx/{_file_name(artifact)}"
    with step("convert"), hold(artifact) as held, new_folder(out, force=force) as folder:
        for name in COMPANIONS:
            if (held.path / name).is_file():
                write_bytes(folder / name, (held.path / name).read_bytes())
        write_json(folder / SENTENCE_SETTINGS, {"max_seq_length": lengths_of(artifact).max_length})
        for name, content in _modules(facts, hidden=_hidden(artifact.config)).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_json(folder / name, content)
        (folder / "onnx").mkdir()
        model = load_model(held.model_path)
        _end_before_pooling(model, artifact)
        save_model(model, folder / file, external=has_external_data(held.model_path))
    return out / file


def _pooling_facts(artifact: Artifact) -> dict[str, Any]:
    export = artifact.manifest.stage("export")
    facts = {} if export is None else export.facts
    if facts.get("pooling") not in ("mean", "cls"):
        raise ArtifactError(
            f"{artifact.path}: does not say how its tokens are pooled; export the checkpoint with this version"
        )
    return dict(facts)


def _file_name(artifact: Artifact) -> str:
    if artifact.manifest.precision != "int8":
        return "model.onnx"
    quantized = artifact.manifest.stage("quantize")
    validated = [] if quantized is None else quantized.facts.get("validated_on") or []
    target = str(validated[0]) if validated else "any"
    return f"model_qint8_{_SUFFIXES.get(target, target)}.onnx"


def _modules(facts: dict[str, Any], *, hidden: int) -> dict[str, Any]:
    """Return file → content: the modules, and what each is told."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    if facts["normalize"]:
        modules.append(("2_Normalize", "Normalize"))
    cls = facts["pooling"] == "cls"
    return {
        "modules.json": [
            {"idx": number, "name": str(number), "path": path, "type": f"{_MODULE}.{kind}"}
            for number, (path, kind) in enumerate(modules)
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": hidden,
            "pooling_mode_cls_token": cls,
            "pooling_mode_mean_tokens": not cls,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "config_sentence_transformers.json": {"similarity_fn_name": "cosine"},
    }


def _hidden(config: dict[str, Any]) -> int:
    return int(config.get("hidden_size") or config["dim"])


def _end_before_pooling(model: ir.Model, artifact: Artifact) -> None:
    """Make the tokens that the pooling reads the graph's only output."""
    read = {
        value
        for node in model.graph
        if _pools(node)
        for value in node.inputs
        if value is not None and value.producer() is not None and not _pools(value.producer())
    }
    if len(read) != 1:
        raise ArtifactError(
            f"{artifact.path}: its graph has no pooling that quantkit wrote; export the checkpoint again"
        )
    end = ir.node("Identity", [read.pop()], name=_HIDDEN)
    output = end.outputs[0]
    output.name, output.dtype = _HIDDEN, ir.DataType.FLOAT
    output.shape = ir.Shape(["batch", "sequence", _hidden(artifact.config)])
    model.graph.append(end)
    model.graph.outputs.clear()
    model.graph.outputs.append(output)


def _pools(node: ir.Node | None) -> bool:
    return node is not None and (node.name or "").startswith(_POOLING)
