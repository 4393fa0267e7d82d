"""The families, traced from tiny random models: what fuses, and that results hold for any mask."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.architectures import Config, architecture, expected_fusions
from quantkit.graph.fusion import PassResult
from quantkit.graph.fusion.contract import check_contract, fuse_graph, fused_counts
from quantkit.graph.parity import MASKS, padding_mask
from quantkit.tasks import task

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore")

LAYERS = 2
BASE: dict[str, Any] = {"vocab_size": 60, "max_position_embeddings": 40}
USUAL: dict[str, Any] = {
    **BASE,
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 32,
}
MOBILE: dict[str, Any] = {
    **USUAL,
    "embedding_size": 8,
    "hidden_size": 32,
    "intra_bottleneck_size": 16,
    "num_feedforward_networks": 2,
}
# Layers that differ: one whole, one without attention, one without a feed-forward network.
UNLIKE: dict[str, Any] = {
    **BASE,
    "hidden_size": 16,
    "attention_head_size": 4,
    "heads_per_layer": [3, 0, 5],
    "feed_forward_per_layer": [32, 24, 0],
}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", USUAL),
    "bert tanh": ("bert", {**USUAL, "hidden_act": "gelu_new"}),
    "roberta": ("roberta", {**USUAL, "type_vocab_size": 1, "pad_token_id": 1}),
    "distilbert": (
        "distilbert",
        {**BASE, "dim": 16, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": 32},
    ),
    "electra": ("electra", {**USUAL, "embedding_size": 8}),
    "mobilebert": ("mobilebert", MOBILE),
    "mobilebert layer_norm": (
        "mobilebert",
        {**MOBILE, "normalization_type": "layer_norm", "hidden_act": "gelu"},
    ),
    "decibert": ("decibert", UNLIKE),
    "decibert factorised": (
        "decibert",
        {**UNLIKE, "embedding_size": 8, "type_vocab_size": 1, "pad_token_id": 1, "position_offset": 2},
    ),
}
FULL = {
    "EmbedLayerNormalization": 1,
    "MultiHeadAttention": LAYERS,
    "SkipLayerNormalization": 2 * LAYERS,
    "BiasGelu": LAYERS,
}
# Of three layers, two have attention and two a feed-forward network.
DIFFERENT = {"MultiHeadAttention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2}
FUSED = {
    "bert": FULL,
    "bert tanh": {**{name: count for name, count in FULL.items() if name != "BiasGelu"}, "FastGelu": LAYERS},
    "roberta": FULL,
    "distilbert": FULL,
    "electra": FULL,
    "mobilebert": {"MultiHeadAttention": LAYERS},
    "mobilebert layer_norm": {
        "MultiHeadAttention": LAYERS,
        "SkipLayerNormalization": 4 * LAYERS,
        "BiasGelu": 2 * LAYERS,
    },
    "decibert": {**DIFFERENT, "EmbedLayerNormalization": 1},
    "decibert factorised": DIFFERENT,
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One model before and after fusing."""

    config: dict[str, Any]
    results: tuple[PassResult, ...]
    linear: tuple[list[str], list[str]]
    sessions: tuple[onnxruntime.InferenceSession, onnxruntime.InferenceSession]

    def difference(self, mask: np.ndarray) -> float:
        """Return the largest difference of a logit at an attended position."""
        random = np.random.default_rng(3)
        tokens = random.integers(2, 60, mask.shape)
        feeds = {
            "input_ids": np.where(mask == 1, tokens, self.config.get("pad_token_id") or 0),
            "attention_mask": mask,
            "token_type_ids": random.integers(0, self.config.get("type_vocab_size", 1), mask.shape),
        }
        before, after = (
            session.run(None, {entry.name: feeds[entry.name] for entry in session.get_inputs()})
            for session in self.sessions
        )
        return max(float(np.abs(a - b)[mask == 1].max()) for a, b in zip(before, after, strict=True))


def make_pair(name: str) -> Pair:
    from quantkit.tracing import Signature, trace_model

    kind, given = CONFIGS[name]
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **given)
    values = config.to_dict()
    model = transformers.AutoModelForQuestionAnswering.from_config(config, attn_implementation="eager").eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    signature = Signature(
        inputs=architecture(values).read_inputs(Config(values=values, where=name)),
        outputs=("start_logits", "end_logits"),
        per_token=True,
    )
    graph = trace_model(model, signature, opset=17, max_positions=38)
    before = matmuls(graph)
    content = ir.to_proto(graph).SerializeToString()
    results = fuse_graph(graph)
    return Pair(
        config=config.to_dict(),
        results=results,
        linear=(before, matmuls(graph)),
        sessions=(session(content), session(ir.to_proto(graph).SerializeToString())),
    )


def matmuls(model: ir.Model) -> list[str]:
    """Return the names of the linear layers."""
    return [
        str(node.name)
        for node in model.graph
        if node.op_type == "MatMul" and node.inputs[1] is not None and node.inputs[1].is_initializer()
    ]


def session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=CONFIGS)
def named(request: pytest.FixtureRequest) -> tuple[str, Pair]:
    """Return each family's model, made once."""
    return request.param, make_pair(request.param)


def test_counts(named: tuple[str, Pair]) -> None:
    """Every family fuses exactly what its structure allows."""
    name, pair = named
    assert FUSED[name] == fused_counts(pair.results)


def test_meets_the_contract_of_its_config(named: tuple[str, Pair]) -> None:
    """What config.json promises is met, and no attention is missed anywhere."""
    _, pair = named
    assert check_contract(pair.results, expected_fusions(pair.config, task("squad").head)) == ()
    assert next(result.missed for result in pair.results if result.name == "MultiHeadAttention") == ()


def test_linear_layers_keep_their_names(named: tuple[str, Pair]) -> None:
    """No linear layer is renamed, added or lost."""
    _, pair = named
    before, after = pair.linear
    assert before
    assert sorted(before) == sorted(after)


@pytest.mark.parametrize("kind", MASKS)
def test_every_kind_of_mask(named: tuple[str, Pair], kind: str) -> None:
    """Logits are the same for all-ones, right-padded, left-padded and holed masks."""
    _, pair = named
    assert pair.difference(padding_mask(kind, 3, 11)) < 2e-5


@given(
    mask=st.integers(1, 9).flatmap(
        lambda length: st.lists(
            st.lists(st.integers(0, 1), min_size=length, max_size=length).filter(any), min_size=1, max_size=3
        )
    )
)
@settings(max_examples=25)
def test_any_mask(named: tuple[str, Pair], mask: list[list[int]]) -> None:
    """Whatever tokens are attended, at least one in each row, the logits are the same."""
    _, pair = named
    assert pair.difference(np.array(mask, np.int64)) < 2e-5
