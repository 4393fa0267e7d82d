"""Groups: which layers are assigned one choice together, and the pattern that names them in a recipe."""

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import pytest

from quantkit.graph.linear import matching
from quantkit.mixed_precision.groups import groups

ENCODER = "bert.encoder.layer"


def encoder(*, layers: int, names: tuple[str, ...] = ("query", "key", "value")) -> ir.Model:
    """Return encoder layers of attention and one FFN layer, and a head on one vector a row."""
    body, weights, source = [], {"words": (40, 32), "bias": (96,)}, "x"
    for number in range(layers):
        parts = [f"{ENCODER}.{number}.attention.self.{name}" for name in names]
        for place, part in enumerate(parts):
            body.append(f'p{number}_{place} = MatMul ({source}, "{part}.weight")')
            weights[f"{part}.weight"] = (32, 32)
        body.append(
            f"m{number} = com.microsoft.MultiHeadAttention <num_heads = 4> "
            f"(p{number}_0, p{number}_1, p{number}_2, bias)"
        )
        body.append(f'o{number} = MatMul (m{number}, "{ENCODER}.{number}.attention.output.dense.weight")')
        body.append(f'x{number} = MatMul (o{number}, "{ENCODER}.{number}.output.dense.weight")')
        weights |= {
            f"{ENCODER}.{number}.{part}.dense.weight": (32, 32) for part in ("attention.output", "output")
        }
        source = f"x{number}"
    weights["classifier.weight"] = (3, 32)
    body.append(f"row = Gather <axis = 1> ({source}, first)")
    body.append('logits = Gemm <transB = 1> (row, "classifier.weight")')
    text = "\n".join(body)
    keys = {name: f"w{place}" for place, name in enumerate(weights) if "." in name}
    for name, key in keys.items():
        text = text.replace(f'"{name}"', key)
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> tiny (int64[batch, sequence] input_ids)'
        f" => (float[batch, 3] logits) {{ x = Gather (words, input_ids)\n{text} }}"
    )
    for number, node in enumerate(proto.graph.node):
        found = [name for name, key in keys.items() if key in node.input]
        node.name = found[0].removesuffix(".weight") if found else f"{node.op_type}_{number}"
    for name, shape in weights.items():
        array = np.ones(shape, np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, keys.get(name, name)))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0, np.int64), "first"))
    return ir.from_proto(proto)


def test_layers_of_one_tensor_are_one_group() -> None:
    """Query, key and value go together, the others alone, in graph order; kinds are alike in all encoder layers."""
    found = groups(encoder(layers=2))
    kinds = ["attention.self.*", "attention.output.dense", "output.dense"]
    assert [*(f"{ENCODER}.{n}.{kind}" for n in range(2) for kind in kinds), "classifier"] == [
        group.name for group in found
    ]
    assert [*kinds, *kinds, "classifier"] == [group.kind for group in found]
    first, output, _, *_, head = found
    assert ((first.tensor, first.inputs, first.outputs), first.macs) == (("x", 32, (32, 32, 32)), 3 * 32 * 32)
    assert ((head.inputs, head.outputs), head.pooled) == ((32, (3,)), True)
    assert (first.foldable, output.foldable, head.foldable) == (False, True, False)
    assert not first.pooled


def test_names_are_patterns_for_their_layers_alone() -> None:
    """Each name, as a pattern of a recipe, matches the group's layers and no others."""
    for count in (1, 2, 11):
        found = groups(encoder(layers=count))
        names = [layer for group in found for layer in group.layers]
        for group in found:
            assert set(group.layers) == matching(names, [group.name], key="schemes")


@pytest.mark.parametrize("names", [("q.lin", "k.lin", "v.lin"), ("query", "other.key", "value")])
def test_a_group_without_a_common_pattern(names: tuple[str, ...]) -> None:
    """Layers whose names share no parent are named by the first of them."""
    first = groups(encoder(layers=1, names=names))[0]
    assert first.name == first.layers[0] == f"{ENCODER}.0.attention.self.{names[0]}"
    assert len(first.layers) == 3
