"""Reading and writing models: what is refused, and that equal graphs are equal files."""

import os
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from quantkit.errors import ArtifactError
from quantkit.graph.model import EXTERNAL_DATA, has_external_data, load_model, save_model, weight_bytes

GRAPH = """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
tiny (float[rows, 32] x) => (float[rows, 32] y) {
    lonely = Tanh (x) h = MatMul (x, w) y = Add (h, b)
}"""


def proto() -> onnx.ModelProto:
    """Return a model with a weight large enough to be stored outside."""
    model = onnx.parser.parse_model(GRAPH)
    for number, node in enumerate(model.graph.node):
        node.name = f"node_{number}"
    weights = {"w": np.arange(1024, dtype=np.float32).reshape(32, 32), "b": np.ones(32, np.float32)}
    weights["unused"] = np.ones(400, np.float32)
    for name, array in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """Return the path of a model with external data."""
    path = tmp_path / "external" / "model.onnx"
    path.parent.mkdir()
    save_model(ir.from_proto(proto()), path, external=True)
    return path


def edit_location(path: Path, **entries: str) -> None:
    """Change where the external weight says it is."""
    model = onnx.load(path, load_external_data=False)
    weight = next(tensor for tensor in model.graph.initializer if tensor.external_data)
    for entry in weight.external_data:
        entry.value = entries.get(entry.key, entry.value)
    onnx.save(model, path)


def test_equal_graphs_give_equal_bytes(tmp_path: Path) -> None:
    """Two models built alike are the same file, and so is one that was read and written again."""
    for name in ("a.onnx", "b.onnx"):
        save_model(ir.from_proto(proto()), tmp_path / name)
    save_model(load_model(tmp_path / "a.onnx"), tmp_path / "c.onnx")
    first, *others = ((tmp_path / f"{name}.onnx").read_bytes() for name in "abc")
    assert others == [first, first]


def test_unused_parts_go(tmp_path: Path) -> None:
    """Nodes, initializers and operator sets that nothing needs are not written."""
    save_model(ir.from_proto(proto()), tmp_path / "a.onnx")
    written = onnx.load(tmp_path / "a.onnx")
    assert [node.op_type for node in written.graph.node] == ["MatMul", "Add"]
    assert sorted(tensor.name for tensor in written.graph.initializer) == ["b", "w"]
    assert [entry.domain for entry in written.opset_import] == [""]


def test_external_round_trip(external: Path, tmp_path: Path) -> None:
    """Weights outside are the same weights, and the same model inside again is the same file."""
    assert has_external_data(external)
    assert (external.parent / EXTERNAL_DATA).stat().st_size >= 4096
    assert external.stat().st_size < 2000
    model = load_model(external)
    value = model.graph.initializers["w"].const_value
    assert isinstance(value, ir.ExternalTensor)
    np.testing.assert_array_equal(value.numpy(), np.arange(1024, dtype=np.float32).reshape(32, 32))
    save_model(model, tmp_path / "inside.onnx")
    save_model(ir.from_proto(proto()), tmp_path / "direct.onnx")
    assert (tmp_path / "inside.onnx").read_bytes() == (tmp_path / "direct.onnx").read_bytes()
    assert not has_external_data(tmp_path / "inside.onnx")
    onnx.checker.check_model(external)


def test_external_when_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above what protobuf can hold, weights go outside without being asked."""
    monkeypatch.setattr("quantkit.graph.model.PROTOBUF_LIMIT", 4000)
    save_model(ir.from_proto(proto()), tmp_path / "model.onnx")
    assert has_external_data(tmp_path / "model.onnx")
    assert weight_bytes(load_model(tmp_path / "model.onnx")) == 4 * (1024 + 32)


@pytest.mark.parametrize("content", [b"", b"not a model at all, but text", b"\x00" * 100, b"\x08\x08"])
def test_not_onnx(tmp_path: Path, content: bytes) -> None:
    """Other files are refused in one line that names the file."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.onnx: is not an ONNX model") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path: Path, share: float) -> None:
    """A file cut anywhere is refused."""
    path = tmp_path / "model.onnx"
    save_model(ir.from_proto(proto()), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ArtifactError, match="is not an ONNX model"):
        load_model(path)


def test_missing_or_folder(tmp_path: Path) -> None:
    """No file, and a folder of that name, are said so."""
    with pytest.raises(ArtifactError, match="no such file"):
        load_model(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_model(tmp_path / "model.onnx")


def test_external_data_missing(external: Path) -> None:
    """Weights that are not beside the model are said to be missing."""
    (external.parent / EXTERNAL_DATA).unlink()
    with pytest.raises(ArtifactError, match=r"external data model\.onnx\.data is missing"):
        load_model(external)


def test_external_data_truncated(external: Path) -> None:
    """Weights that end too early are refused before anything reads them."""
    os.truncate(external.parent / EXTERNAL_DATA, 100)
    with pytest.raises(ArtifactError, match=r"external data model\.onnx\.data is truncated"):
        load_model(external)


@pytest.mark.parametrize(
    "location", ["../secret.data", "/etc/passwd", "..\\secret.data", "a/../../secret.data", ""]
)
def test_external_data_outside_the_folder(external: Path, location: str) -> None:
    """A path that leaves the model's folder is refused, whether there is a file or not."""
    (external.parent.parent / "secret.data").write_bytes(b"x" * 5000)
    edit_location(external, location=location)
    with pytest.raises(ArtifactError, match="leaves the folder"):
        load_model(external)


def test_external_data_behind_a_link(external: Path) -> None:
    """A link that leads out of the folder is refused like a path that does."""
    data = external.parent / EXTERNAL_DATA
    outside = data.rename(external.parent.parent / "elsewhere.data")
    data.symlink_to(outside)
    with pytest.raises(ArtifactError, match="leaves the folder"):
        load_model(external)


def test_external_data_of_a_constant(external: Path) -> None:
    """The weights of Constant nodes are checked like initializers."""
    model = onnx.load(external, load_external_data=False)
    weight = next(tensor for tensor in model.graph.initializer if tensor.external_data)
    node = onnx.helper.make_node("Constant", [], ["w"], name="constant", value=weight)
    model.graph.initializer.remove(weight)
    model.graph.node.insert(0, node)
    onnx.save(model, external)
    (external.parent / EXTERNAL_DATA).unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        load_model(external)


def test_external_offset_is_a_number(external: Path) -> None:
    """An offset that is no number is refused."""
    edit_location(external, offset="far")
    with pytest.raises(ArtifactError, match="is not a number"):
        load_model(external)


def test_graph_that_contradicts_itself(tmp_path: Path) -> None:
    """A readable file whose graph declares a value twice is refused with the reason."""
    model = proto()
    model.graph.node[0].output[0] = "b"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match=r"not a usable ONNX model .*redeclared"):
        load_model(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", [b"node_1", b"rows", b"Tanh", b"tiny"])
def test_a_name_that_is_not_utf8(tmp_path: Path, name: bytes) -> None:
    """Whatever is called so (a node, a dimension, an operator, the graph), one line says it."""
    content = proto().SerializeToString()
    assert name in content
    (tmp_path / "model.onnx").write_bytes(content.replace(name, name[:-2] + b"\xf0\xc5"))
    with pytest.raises(ArtifactError, match=r"has a name that is not UTF-8 .*export it again"):
        load_model(tmp_path / "model.onnx")
