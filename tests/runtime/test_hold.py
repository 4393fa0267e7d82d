"""What is held reads no weights but those that the manifest lists."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from quantkit.artifact import Artifact, new_artifact
from quantkit.errors import ArtifactError
from quantkit.runtime.hold import hold
from quantkit.runtime.model_files import external_files


def outside(location: str, name: str = "w") -> onnx.TensorProto:
    """Return a weight that is kept in another file."""
    tensor = numpy_helper.from_array(np.ones(1024, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def in_initializer(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph([], "g", [], [], [tensor]))


def in_attribute(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return helper.make_model(
        helper.make_graph([helper.make_node("Constant", [], ["y"], value=tensor)], "g", [], [])
    )


def in_subgraph(tensor: onnx.TensorProto) -> onnx.ModelProto:
    inner = helper.make_graph([], "inner", [], [], [tensor])
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    return helper.make_model(helper.make_graph([node], "g", [], []))


def in_function(tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = helper.make_model(helper.make_graph([], "g", [], []))
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("d", "f", [], ["y"], [node], opsets))
    return model


def in_sparse(tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = helper.make_model(helper.make_graph([], "g", [], []))
    model.graph.sparse_initializer.add(values=tensor, dims=[1024])
    return model


PLACES = [in_initializer, in_attribute, in_subgraph, in_function, in_sparse]


def artifact_of(folder: Path, model: onnx.ModelProto, **files: bytes) -> Artifact:
    """Make an artifact of a model that nobody could run; `files` are listed too, with _ for . in their names."""
    with new_artifact(folder) as draft:
        draft.model_path.write_bytes(model.SerializeToString())
        for name, content in files.items():
            (draft.path / name.replace("_", ".")).write_bytes(content)
        draft.record(task="squad", architecture="bert", precision="int8", stages=(), parent=None)
    return Artifact.open(folder)


@pytest.mark.parametrize("make", PLACES)
@pytest.mark.parametrize(
    "location",
    [
        "reports/bench.json",
        "../x",
        "/etc/passwd",
        "./listed.bin",
        "*/_ORT_MEM_ADDR_/*",
        "gone",
        "vocab.txt",
        "",
    ],
)
def test_weights_that_are_not_listed(tmp_path: Path, make: Any, location: str) -> None:
    """Wherever a tensor is in the graph, its bytes are in a file that the digest covers and the size counts."""
    artifact = artifact_of(tmp_path / "a", make(outside(location)), listed_bin=bytes(4096), vocab_txt=b"a")
    artifact.write_report("bench.json", "0" * 4096)
    (tmp_path / "x").write_bytes(bytes(4096))
    with pytest.raises(ArtifactError) as caught, hold(artifact):
        pass
    assert str(caught.value) == (
        f"{artifact.model_path}: keeps weights in {location!r}, which the manifest does not list as a file of the "
        "model; do not use this artifact"
    )


@pytest.mark.parametrize("make", PLACES)
def test_weights_that_are_listed(tmp_path: Path, make: Any) -> None:
    """A listed file may have any name, and is part of the model's size."""
    artifact = artifact_of(tmp_path / "a", make(outside("any.bin")), any_bin=bytes(4096), vocab_txt=b"abc")
    with hold(artifact) as held:
        assert external_files(onnx.load(held.model_path, load_external_data=False)) == {"any.bin"}
        assert (held.path / "any.bin").is_file()
    assert artifact.model_bytes == artifact.manifest.files["model.onnx"].size + 4096


def test_errors_name_the_artifact(tmp_path: Path) -> None:
    """A model that is none is told with its own path."""
    artifact = artifact_of(tmp_path / "a", in_initializer(outside("x")))
    shutil.rmtree(tmp_path / "a")
    with new_artifact(tmp_path / "a") as draft:
        draft.model_path.write_bytes(b"not onnx")
        draft.record(task="squad", architecture="bert", precision="int8", stages=(), parent=None)
    artifact = Artifact.open(tmp_path / "a")
    with pytest.raises(ArtifactError) as caught, hold(artifact):
        pass
    assert str(caught.value).startswith(f"{artifact.model_path}: is not an ONNX model")
