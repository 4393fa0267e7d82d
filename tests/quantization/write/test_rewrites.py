"""Static, dynamic and embedding rewrites: integer kernels run, and results stay near float."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.errors import QuantizationError
from quantkit.graph.linear import embedding_tables, linear_layers
from quantkit.graph.model import load_model
from quantkit.quantization.grids import GRIDS
from quantkit.quantization.rounding import ROUNDINGS, Problem
from quantkit.quantization.write.dynamic import quantize_dynamic
from quantkit.quantization.write.embeddings import open_embed_layer_norm, quantize_tables
from quantkit.quantization.write.static import quantize_static

pytestmark = pytest.mark.avx2

# Activations are about ±4 in 256 levels and weights ±3 in 255, 32 products are summed: an error of 0.5 % of the
# output's spread is usual, and two layers in a row double it.
NEAR = 0.04


def near(weight_type: str) -> float:
    """Return the bound for a grid: with half the levels steps are twice as large."""
    return NEAR * (2 if weight_type == "int7" else 1)


@pytest.fixture
def encoder(bench: Any) -> ir.Model:
    """Return a graph with Q, K and V on one activation, an output layer, and a head without bias."""
    names = ("query", "key", "value", "output")
    weights = {f"{name}_weight": bench.normal(32, 32, seed=n, scale=0.18) for n, name in enumerate(names)}
    weights |= {f"{name}_bias": bench.normal(32, seed=9 + n) for n, name in enumerate(names)}
    weights |= {"words_weight": bench.normal(40, 32, seed=20), "head_weight": bench.normal(32, 2, seed=21)}
    projections = "".join(
        f"{name}_0 = MatMul (x, {name}_weight) {name} = Add ({name}_0, {name}_bias)" for name in names[:3]
    )
    body = f"""
        x = Gather (words_weight, input_ids) {projections}
        qk = Mul (query, key) mixed = Add (qk, value) squashed = Tanh (mixed)
        output_0 = MatMul (squashed, output_weight) output = Add (output_0, output_bias)
        active = Tanh (output) logits = MatMul (active, head_weight)
    """
    return bench.build(body, weights)


@pytest.fixture(params=["Gemm", "MatMul"])
def classifier(bench: Any, request: pytest.FixtureRequest) -> ir.Model:
    """Return a graph whose pooled head is two Gemm nodes, transposed as torch stores them, or MatMul and Add."""
    weights = {
        "words_weight": bench.normal(40, 32, seed=1),
        "first": np.asarray(0, np.int64),
        "pooler_weight": bench.normal(24, 32, seed=2),
        "pooler_bias": bench.normal(24, seed=3),
        "classifier_weight": bench.normal(3, 24, seed=4),
        "classifier_bias": bench.normal(3, seed=5),
    }
    gemms = """
        pooled_0 = Gemm <transB = 1> (row, pooler_weight, pooler_bias) pooled = Tanh (pooled_0)
        logits = Gemm <transB = 1> (pooled, classifier_weight, classifier_bias)
    """
    products = """
        pooled_1 = MatMul (row, pooler_weight) pooled_0 = Add (pooled_1, pooler_bias) pooled = Tanh (pooled_0)
        logits_0 = MatMul (pooled, classifier_weight) logits = Add (logits_0, classifier_bias)
    """
    if request.param == "MatMul":
        weights |= {name: weights[name].T.copy() for name in ("pooler_weight", "classifier_weight")}
    chosen = gemms if request.param == "Gemm" else products
    body = f"x = Gather (words_weight, input_ids) row = Gather <axis = 1> (x, first) {chosen}"
    model = bench.build(body, weights, "float[batch, 3] logits")
    next(node for node in model.graph if node.attributes.get("axis") is not None).name = "first_token"
    return model


def ranges_of(bench: Any, model: ir.Model) -> dict[str, tuple[float, float]]:
    """Return what each layer's input really takes on `bench.ids()`, with 10 % to spare."""
    found = {}
    for layer in linear_layers(model.graph):
        observed = model.clone()
        observed.graph.outputs.clear()
        values = {value.name: value for node in observed.graph for value in node.outputs}
        value = values[layer.activation.name]
        value.type = ir.TensorType(ir.DataType.FLOAT)
        observed.graph.outputs.append(value)
        array = bench.compute(observed, optimize=False)
        found[layer.activation.name or ""] = (1.1 * float(array.min()), 1.1 * float(array.max()))
    return found


def quantize(
    bench: Any, model: ir.Model, mode: str, *, per_channel: bool = True, weight_type: str = "int8"
) -> None:
    """Quantize every layer, rounded to nearest."""
    layers = linear_layers(model.graph)
    weights = {
        layer.name: ROUNDINGS["nearest"](
            Problem(name=layer.name, matrix=layer.matrix(), per_channel=per_channel, grid=GRIDS[weight_type])
        )
        for layer in layers
    }
    if mode == "dynamic":
        quantize_dynamic(model, layers, weights)
    else:
        quantize_static(model, layers, ranges_of(bench, model), weights)


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference as a share of the expected values' spread."""
    return float(np.abs(actual - expected).max() / np.ptp(expected))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_integer_kernels_run(
    bench: Any, encoder: ir.Model, mode: str, per_channel: bool, weight_type: str
) -> None:
    """Every layer keeps its name, runs in an integer kernel, and the result is near float."""
    expected = bench.compute(encoder)
    names = [layer.name for layer in linear_layers(encoder.graph)]
    quantize(bench, encoder, mode, per_channel=per_channel, weight_type=weight_type)
    execution = bench.trace(encoder)
    assert names == ["query", "key", "value", "output", "head"]
    assert sorted(names) == sorted(layer.name for layer in execution.layers)
    kernels = {"MatMulIntegerToFloat"} | ({"DynamicQuantizeMatMul"} if mode == "dynamic" else set())
    assert kernels == {layer.kernel for layer in execution.layers}
    assert execution.int8_coverage == 1.0
    assert difference(bench.compute(encoder), expected) < near(weight_type)


@pytest.mark.parametrize(
    ("mode", "quantizer"), [("static", "QuantizeLinear"), ("dynamic", "DynamicQuantizeLinear")]
)
def test_shared_activation_is_quantized_once(
    bench: Any, encoder: ir.Model, mode: str, quantizer: str
) -> None:
    """Query, key and value read one quantized tensor; five layers need three quantizers."""
    quantize(bench, encoder, mode)
    assert sum(node.op_type == quantizer for node in encoder.graph) == 3


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_pooled_heads(bench: Any, classifier: ir.Model, mode: str, weight_type: str) -> None:
    """Pooled heads run in integer kernels under their own names, bias included."""
    expected = bench.compute(classifier)
    quantize(bench, classifier, mode, weight_type=weight_type)
    execution = bench.trace(classifier)
    assert {(layer.name, layer.shape) for layer in execution.layers if layer.integer} == {
        ("pooler", (32, 24)),
        ("classifier", (24, 3)),
    }
    assert execution.int8_coverage == 1.0
    assert difference(bench.compute(classifier), expected) < near(weight_type)
    assert [output.name for output in classifier.graph.outputs] == ["logits"]


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_uint8_weights_are_the_same_weights(bench: Any, encoder: ir.Model, mode: str) -> None:
    """Rounded to nearest, uint8 weights around 128 stand for what int8 ones do: the same levels of the same scale."""
    stored = []
    for weight_type, zero in (("int8", 0), ("uint8", 128)):
        model = encoder.clone()
        quantize(bench, model, mode, weight_type=weight_type)
        values = [
            model.graph.initializers[f"query.{name}"].const_value.numpy()
            for name in (f"weight_{weight_type}", "weight_scale")
        ]
        assert np.dtype(weight_type) == values[0].dtype
        stored.append([values[0].astype(int) - zero, values[1]])
    for one, other in zip(*stored, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("weight_type", ["int8"], indirect=True)
@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_uint8_weights_give_the_same_numbers(
    bench: Any, encoder: ir.Model, mode: str, weight_type: str
) -> None:
    """Where products of int8 weights are summed exactly, those of the same uint8 weights give the same results."""
    found = []
    for chosen in (weight_type, "uint8"):
        model = encoder.clone()
        quantize(bench, model, mode, weight_type=chosen)
        found.append(bench.compute(model))
    # The integer products are the same; scaling them back may differ by a rounding.
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5 * np.abs(found[0]).max())


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("second", ["MatMul (h, b_weight)", "Gemm (h2, b_weight)"])
def test_layer_right_behind_another(bench: Any, mode: str, second: str, exact_grid: str) -> None:
    """A layer that reads another layer's product directly reads it after rewriting, too."""
    weights = {
        "words_weight": bench.normal(40, 32),
        "a_weight": bench.normal(32, 32, seed=1),
        "b_weight": bench.normal(32, 8, seed=2),
        "first": np.asarray(0, np.int64),
    }
    gemm = second.startswith("Gemm")
    body = f"""
        x = Gather (words_weight, input_ids) {"row = Gather <axis = 1> (x, first)" if gemm else "row = Identity (x)"}
        {"h2 = Gemm (row, a_weight)" if gemm else "h = MatMul (row, a_weight)"}
        logits = {second}
    """
    output = "float[batch, 8] logits" if gemm else "float[batch, sequence, 8] logits"
    model = bench.build(body, weights, output)
    expected = bench.compute(model)
    quantize(bench, model, mode, weight_type=exact_grid)
    assert difference(bench.compute(model), expected) < NEAR
    assert bench.trace(model).int8_coverage == 1.0


def test_weight_without_quantized_activation(bench: Any, encoder: ir.Model) -> None:
    """A QDQ weight alone becomes MatMulNBits: other than what was asked for, and told by the kernel's name."""
    quantize(bench, encoder, "static")
    for node in encoder.graph:
        if node.op_type == "MatMul" and node.name != "head":
            pair = node.inputs[0].producer()
            node.replace_input_with(0, pair.inputs[0].producer().inputs[0])
    kernels = {layer.name: layer.kernel for layer in bench.trace(encoder).layers}
    assert kernels["query"] == "MatMulNBits"
    assert kernels["head"] == "MatMulIntegerToFloat"


def test_broken_weight_is_named(bench: Any, encoder: ir.Model) -> None:
    """A NaN weight is an error that names the layer."""
    value = encoder.graph.initializers["key_weight"]
    value.const_value = ir.tensor(np.full((32, 32), np.nan, np.float32), name="key_weight")
    with pytest.raises(QuantizationError, match="key"):
        quantize(bench, encoder, "dynamic")


def test_tables(bench: Any, encoder: ir.Model) -> None:
    """A table becomes int8 with a scale a row; the float one is gone from the file."""
    expected = bench.compute(encoder)
    before = bench.save(encoder, "float.onnx").stat().st_size
    quantize_tables(encoder, embedding_tables(encoder.graph))
    assert difference(bench.compute(encoder), expected) < NEAR
    # Three of four bytes an entry go, four a row come; the nodes added are below 1 kB.
    saved = 40 * 32 * 3 - 40 * 4
    assert before - bench.save(encoder, "int8.onnx").stat().st_size > saved - 1000
    assert "words_weight" not in load_model(bench.save(encoder)).graph.initializers
    stored = encoder.graph.initializers["words_weight.weight_int8"].const_value
    assert stored is not None
    assert stored.dtype == ir.DataType.INT8


def test_table_used_twice(bench: Any) -> None:
    """A table that two lookups read is stored once and both read it."""
    weights = {"words_weight": bench.normal(40, 32), "head_weight": bench.normal(32, 4, seed=2)}
    body = """
        a = Gather (words_weight, input_ids) b = Gather (words_weight, token_type_ids)
        x = Add (a, b) logits = MatMul (x, head_weight)
    """
    model = bench.build(body, weights)
    tables = embedding_tables(model.graph)
    assert [len(table.nodes) for table in tables] == [2]
    expected = bench.compute(model)
    quantize_tables(model, tables)
    assert difference(bench.compute(model), expected) < 0.01
    assert sum(name.endswith("_int8") for name in model.graph.initializers) == 1


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("positions", [True, False])
def test_opened_embeddings_equal_the_fused_node(bench: Any, segments: bool, positions: bool) -> None:
    """EmbedLayerNormalization opened into lookups and SkipLayerNormalization computes the same."""
    weights = {
        "words.weight": bench.normal(40, 32, seed=1),
        "positions.weight": bench.normal(48, 32, seed=2),
        "segments.weight": bench.normal(2, 32, seed=3),
        "gamma": bench.normal(32, seed=4),
        "beta": bench.normal(32, seed=5),
        "head_weight": bench.normal(32, 2, seed=6),
        "backwards": np.arange(9, dtype=np.int32)[::-1].copy()[None, :],
        "one": np.asarray(1, np.int32),
    }
    inputs: list[str] = ["ids", "segment_ids" if segments else "", "words.weight", "positions.weight"]
    inputs += [
        "segments.weight" if segments else "",
        "gamma",
        "beta",
        "",
        "position_ids" if positions else "",
    ]
    model = embeddings_model(bench, weights, inputs)
    expected = bench.compute(model)
    assert open_embed_layer_norm(model) == 1
    assert "EmbedLayerNormalization" not in {node.op_type for node in model.graph}
    np.testing.assert_allclose(bench.compute(model), expected, rtol=0, atol=2e-5)
    names = {table.name for table in embedding_tables(model.graph)}
    assert {"words", "positions", *(["segments"] if segments else [])} == names


def embeddings_model(bench: Any, weights: dict[str, np.ndarray], inputs: list[str]) -> ir.Model:
    """Return a model of one EmbedLayerNormalization and a head."""
    from onnx import helper

    cast = [
        helper.make_node("Cast", ["input_ids"], ["ids"], name="cast", to=6),
        helper.make_node("Cast", ["token_type_ids"], ["segment_ids"], name="cast_segments", to=6),
        helper.make_node("Shape", ["ids"], ["shape"], name="shape"),
        helper.make_node("Expand", ["backwards", "shape"], ["position_ids"], name="expand"),
    ]
    norm = helper.make_node(
        "EmbedLayerNormalization",
        inputs,
        ["x", "mask_index"],
        name="embeddings",
        domain="com.microsoft",
        epsilon=1e-5,
    )
    head = helper.make_node("MatMul", ["x", "head_weight"], ["logits"], name="head")
    model = bench.build("logits = Identity (input_ids)", {}, "float[batch, sequence, 2] logits")
    proto = ir.to_proto(model)
    del proto.graph.node[:]
    proto.graph.node.extend([*cast, norm, head])
    for name, value in weights.items():
        proto.graph.initializer.append(ir.to_proto(ir.tensor(value, name=name)))
    return ir.from_proto(proto)
