"""import: what another tool left becomes an artifact whose bytes are theirs and whose record says what was found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError, CheckpointError, UsageError
from quantkit.files import sha256_file
from quantkit.recipe.import_settings import ImportSettings
from quantkit.shipped import quickstart_model
from quantkit.stages.importing import Folder, import_folder, ingredients
from quantkit.stages.inspect import inspect
from quantkit.tasks.data_places import DataPlaces

pytestmark = pytest.mark.filterwarnings("ignore")

Make = Callable[..., Path]
Change = Callable[[Path, Callable[[onnx.ModelProto], Any]], None]
PARAMETERS = 1_150_466
LAYERS = 25
MLPERF = {
    "attention_mask": "input_mask",
    "token_type_ids": "segment_ids",
    "start_logits": "output_start_logits",
}


def take(folder: Path, **settings: Any) -> Artifact:
    """Import a folder into one beside it."""
    out = folder.parent / f"{folder.name}-imported"
    return import_folder(
        folder, out, task="squad", settings=ImportSettings.model_validate(settings), force=True
    )


def facts(artifact: Artifact) -> dict[str, Any]:
    record = artifact.manifest.stage("import")
    assert record is not None
    return record.facts


def call_as_mlperf(model: onnx.ModelProto) -> None:
    """Name inputs and outputs as the model of MLPerf has them."""
    for entry in (*model.graph.input, *model.graph.output):
        entry.name = MLPERF.get(entry.name, entry.name)
    for node in model.graph.node:
        node.input[:] = [MLPERF.get(name, name) for name in node.input]
        node.output[:] = [MLPERF.get(name, name) for name in node.output]


def test_bytes_are_theirs(make_folder: Make) -> None:
    """Model, config and tokenizer are copied byte by byte, and the record has their digests."""
    folder = make_folder()
    made = take(folder)
    assert sha256_file(made.model_path) == sha256_file(folder / "model.onnx")
    found = {name: entry["sha256"] for name, entry in facts(made)["files"].items()}
    assert found == {path.name: sha256_file(path) for path in folder.iterdir()}
    assert found == {name: entry.sha256 for name, entry in made.manifest.files.items()}
    assert (facts(made)["rewritten"], made.manifest.parent) == ([], None)
    assert Artifact.open(made.path).digest == made.digest


def test_provenance(make_quantized: Make) -> None:
    """The record says that the artifact was imported, and who the model says it is from."""
    found = facts(take(make_quantized()))
    assert found["provenance"] == "imported: declared by onnx.quantize 0.1.0"
    assert found["producer"] == "onnx.quantize 0.1.0"
    assert (found["model"], found["opset"]) == ("model_quantized.onnx", {"ai.onnx": 17})
    assert found["inputs"]["input_ids"] == {
        "name": "input_ids",
        "type": "int64",
        "shape": ["batch", "sequence"],
    }
    assert set(found["inputs"]) == {"input_ids", "attention_mask", "token_type_ids"}
    assert set(found["outputs"]) == {"start_logits", "end_logits"}


def test_a_producer_cannot_write_on_a_terminal(make_folder: Make, change_model: Change) -> None:
    """What a model says of itself is kept without letters that move a cursor, and short."""
    folder = make_folder()
    change_model(
        folder / "model.onnx", lambda model: setattr(model, "producer_name", f"\x1b[2J\u202e{'x' * 300}")
    )
    producer = facts(take(folder))["producer"]
    assert producer.isprintable()
    assert len(producer) == 100


@pytest.mark.parametrize(
    ("kind", "coverage", "integer", "static"),
    [
        ("dynamic", 1.0, LAYERS, False),
        ("static-qdq", 1.0, LAYERS, True),
        ("static-qoperator", 1.0, LAYERS, True),
        # onnxruntime runs 16 of the layers in float where activations are int8, which is what quantize_static makes
        # when nothing is said: 9 layers of 512 inputs or outputs, and the head, are left.
        ("static-default", 125_927_424 / 302_088_192, 9, True),
    ],
)
def test_coverage_is_of_what_runs(
    make_quantized: Make, kind: str, coverage: float, integer: int, static: bool
) -> None:
    """Every linear layer counts, also one whose weight is unpacked and multiplied in float."""
    made = take(make_quantized(kind))
    found = inspect(made)
    assert len(found.layers) == LAYERS
    assert sum(layer.integer for layer in found.layers) == integer
    assert found.int8_coverage == pytest.approx(coverage, abs=1e-12)
    assert (facts(made)["int8_coverage"], facts(made)["static_ranges"]) == (found.int8_coverage, static)
    assert (found.precision, found.parameters, found.expected_fusions) == ("int8", PARAMETERS, {})
    assert found.int8_embedding_share == 1.0


def test_fp32(make_folder: Make) -> None:
    """A float model is FP32 without a word from the user, with all its parameters and no coverage."""
    made = take(make_folder())
    found = inspect(made)
    assert (found.precision, found.parameters, found.int8_coverage) == ("fp32", PARAMETERS, 0.0)
    assert facts(made)["precision"] == {"is": "fp32", "said by": "its kernels"}


def test_nodes_without_names(make_quantized: Make, change_model: Change) -> None:
    """A model whose nodes have no names is counted as well as one whose nodes do."""
    folder = make_quantized()

    def forget(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.name = ""

    change_model(folder / "model_quantized.onnx", forget)
    found = inspect(take(folder))
    assert (len(found.layers), found.int8_coverage) == (LAYERS, 1.0)


def test_companions_above(make_folder: Make) -> None:
    """The layout of the Hub: onnx/model.onnx, with config and tokenizer in the folder above."""
    folder = make_folder(model="onnx/model.onnx")
    assert "onnx/model.onnx" in facts(take(folder))["files"]
    inner = take(folder / "onnx")
    assert "../theirs/config.json" in facts(inner)["files"]


def test_companions_elsewhere(make_folder: Make) -> None:
    """What Olive and onnxruntime leave has no tokenizer; --companions says where it is, and the key is of the bytes."""
    folder = make_folder(companions=False)
    with pytest.raises(
        ArtifactError, match=r"theirs: has no config.json beside the model .* --companions DIR"
    ):
        take(folder)
    made = take(folder, companions=str(quickstart_model()))
    assert made.manifest.files["config.json"].sha256 == sha256_file(quickstart_model() / "config.json")
    assert not any(str(quickstart_model()) in name for name in facts(made)["files"])


def test_external_data(make_folder: Make) -> None:
    """External data of any name becomes model.onnx.data, and the record says so; that of our name is only copied."""
    folder = make_folder()
    model = onnx.load(folder / "model.onnx")
    onnx.save_model(model, folder / "model.onnx", save_as_external_data=True, location="model.onnx_data")
    made = take(folder)
    assert facts(made)["rewritten"] == ["external data of model.onnx_data is in model.onnx.data"]
    assert "model.onnx.data" in made.manifest.files
    assert inspect(made).parameters == PARAMETERS
    own = make_folder("ours")
    onnx.save_model(
        onnx.load(own / "model.onnx"),
        own / "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
    )
    assert facts(take(own))["rewritten"] == []


def test_rename(make_folder: Make, change_model: Change) -> None:
    """Inputs and outputs of other names are taken when the user says what they are, and the record says so."""
    folder = make_folder()
    change_model(folder / "model.onnx", call_as_mlperf)
    with pytest.raises(ArtifactError, match=r"takes an input input_mask, .* --rename input_mask=NAME"):
        take(folder)
    made = take(folder, rename=[f"{theirs}={ours}" for ours, theirs in MLPERF.items()])
    assert facts(made)["inputs"]["attention_mask"]["name"] == "input_mask"
    assert "renamed input_mask to attention_mask" in facts(made)["rewritten"]
    assert inspect(made).parameters == PARAMETERS


def test_older_folder_of_ours(make_folder: Make) -> None:
    """An artifact of another format is imported with the questions it was calibrated on; today's is refused."""
    folder = make_folder()
    (folder / "manifest.json").write_text('{"schema": "quantkit/manifest/0"}')
    (folder / "calibration.json").write_text('{"ids": ["a"]}')
    made = take(folder)
    assert facts(made)["former_manifest"] == "quantkit/manifest/0"
    assert made.read_json("calibration.json") == {"ids": ["a"]}
    with pytest.raises(ArtifactError, match="is a quantkit artifact already"):
        take(made.path)


def test_which_of_several(make_quantized: Make) -> None:
    """Nobody guesses which model is meant."""
    folder = make_quantized()
    shutil.copyfile(folder / "model_quantized.onnx", folder / "model.onnx")
    with pytest.raises(UsageError, match=r"2 ONNX files \(model.onnx, model_quantized.onnx\)"):
        take(folder)
    assert facts(take(folder, model_file="model_quantized.onnx"))["model"] == "model_quantized.onnx"
    with pytest.raises(UsageError, match=r"--model other.onnx: is not in .*; it has model.onnx"):
        take(folder, model_file="other.onnx")


def test_a_length_that_is_baked_in(make_folder: Make, change_model: Change) -> None:
    """A graph that runs on one length only is refused by what it does, whatever shape it declares."""
    folder = make_folder()

    def bake(model: onnx.ModelProto) -> None:
        shape = onnx.helper.make_tensor("baked", onnx.TensorProto.INT64, [2], [1, 384])
        model.graph.initializer.append(shape)
        for node in model.graph.node:
            node.input[:] = ["baked_ids" if name == "input_ids" else name for name in node.input]
        model.graph.node.insert(
            0, onnx.helper.make_node("Reshape", ["input_ids", "baked"], ["baked_ids"], name="baked_ids")
        )

    change_model(folder / "model.onnx", bake)
    with pytest.raises(ArtifactError, match=r"does not run on 2 rows of 7 tokens .* dynamic axes"):
        take(folder)


def test_layers_that_are_not_seen(make_folder: Make) -> None:
    """A config that promises more weights than ran is refused: coverage would be a share of too little."""
    folder = make_folder()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 12}))
    with pytest.raises(
        ArtifactError, match=r"hold 786,688 weights, and by its config.json at least 2,359,296"
    ):
        take(folder)


def test_config_and_tokenizer_must_fit(make_folder: Make) -> None:
    """Another task, another family and another vocabulary are told as export tells them."""
    folder = make_folder()
    with pytest.raises(CheckpointError, match="import it with --task squad"):
        import_folder(folder, folder.parent / "x", task="text-classification", settings=ImportSettings())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 40}))
    with pytest.raises(CheckpointError, match=r"theirs: the tokenizer has \d+ tokens but the model 40"):
        take(folder)
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(CheckpointError, match="architecture 'gpt2' is not supported"):
        take(folder)


def test_key(make_folder: Make) -> None:
    """The key is of bytes and settings; where companions were found is not in it."""
    folder = make_folder()
    made = take(folder)

    def key(task: str = "squad", **settings: Any) -> str:
        asked = ImportSettings.model_validate(settings)
        return ingredients(Folder(path=folder, task=task), asked, DataPlaces()).key("import")

    record = made.manifest.stage("import")
    assert record is not None
    assert key() == record.key
    changed = [
        key(precision="fp32"),
        key(model_file="model.onnx"),
        key(rename=["a=b"]),
        key("text-classification"),
    ]
    assert len({record.key, *changed}) == 5
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    assert key() != record.key


def test_nothing_is_left_of_a_failure(make_folder: Make) -> None:
    """A refused model leaves no artifact and no partial folder."""
    folder = make_folder()
    with pytest.raises(UsageError):
        take(folder, precision="int8")
    assert [path.name for path in folder.parent.iterdir() if "theirs" in path.name] == ["theirs"]


def test_classifier(tiny_classifier: Path, tmp_path: Path) -> None:
    """A model of another task is imported for it, and its offered line says which."""
    from quantkit.artifact.foreign import import_line
    from quantkit.recipe.settings import ExportSettings
    from quantkit.stages.export import export

    name = "text-classification"
    source = export(
        str(tiny_classifier / "checkpoint"), tmp_path / "theirs", task=name, settings=ExportSettings()
    )
    (source.path / "manifest.json").unlink()
    assert (import_line(source.path) or "").endswith("--task text-classification")
    made = import_folder(source.path, tmp_path / "out", task=name, settings=ImportSettings())
    assert (made.task, made.manifest.precision, list(facts(made)["outputs"])) == (name, "fp32", ["logits"])
    assert made.digest == source.digest
