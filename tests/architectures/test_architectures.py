"""Model families: shapes and expected fusions from config.json."""

import subprocess
import sys
from typing import Any

import pytest

from quantkit.architectures import ARCHITECTURES, Config, architecture, expected_fusions
from quantkit.architectures.architecture import QUESTION_ANSWERING
from quantkit.errors import CheckpointError
from quantkit.tasks import task as task_named

COMMON = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "hidden_act": "gelu",
}
DECIBERT: dict[str, Any] = {
    "model_type": "decibert",
    "hidden_size": 64,
    "attention_head_size": 16,
    "heads_per_layer": [4, 0, 2],
    "feed_forward_per_layer": [256, 96, 0],
}
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {"model_type": "bert", **COMMON},
    "albert": {"model_type": "albert", "num_hidden_groups": 1, "embedding_size": 16, **COMMON},
    "nomic_bert": {"model_type": "nomic_bert", **COMMON},
    "deberta-v2": {"model_type": "deberta-v2", **COMMON},
    "modernbert": {"model_type": "modernbert", **COMMON},
    "mpnet": {"model_type": "mpnet", **COMMON},
    "camembert": {"model_type": "camembert", **COMMON},
    "decibert": DECIBERT,
    "xlm-roberta": {"model_type": "xlm-roberta", **COMMON},
    "roberta": {"model_type": "roberta", **COMMON},
    "electra": {"model_type": "electra", "embedding_size": 16, **COMMON},
    "distilbert": {"model_type": "distilbert", "dim": 64, "n_layers": 3, "n_heads": 4, "hidden_dim": 256},
    "mobilebert": {
        "model_type": "mobilebert",
        **COMMON,
        "hidden_act": "relu",
        "intra_bottleneck_size": 32,
        "num_feedforward_networks": 4,
        "use_bottleneck": True,
    },
}


def counts(config: dict[str, Any], task: str = "squad") -> tuple[int, ...]:
    found = expected_fusions(config, task_named(task).head)
    return tuple(
        found.get(name, 0)
        for name in (
            "MultiHeadAttention",
            "SkipLayerNormalization",
            "BiasGelu",
            "EmbedLayerNormalization",
        )
    )


def test_every_family_is_in_the_table_under_its_own_name() -> None:
    """The table's keys are the model types of its modules, sorted."""
    assert sorted(CONFIGS) == list(ARCHITECTURES)
    assert [architecture(CONFIGS[name]).model_type for name in ARCHITECTURES] == list(ARCHITECTURES)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("albert", (3, 6, 3, 1)),
        ("bert", (3, 6, 3, 1)),
        ("deberta-v2", (0, 6, 3, 0)),
        ("modernbert", (3, 6, 0, 0)),
        ("nomic_bert", (3, 6, 0, 1)),
        ("mpnet", (3, 6, 3, 1)),
        ("camembert", (3, 6, 3, 1)),
        ("decibert", (2, 4, 2, 1)),
        ("roberta", (3, 6, 3, 1)),
        ("xlm-roberta", (3, 6, 3, 1)),
        ("electra", (3, 6, 3, 1)),
        ("distilbert", (3, 6, 3, 1)),
        ("mobilebert", (3, 0, 0, 0)),
    ],
)
def test_fusions_follow_from_the_layers(family: str, expected: tuple[int, ...]) -> None:
    """Attention once, layer norms twice and GELU once per layer, where the family has them."""
    assert counts(CONFIGS[family]) == expected


def test_fusions_follow_the_activation() -> None:
    """Where the activation is not GELU, no BiasGelu is expected."""
    assert counts(CONFIGS["bert"] | {"hidden_act": "relu"}) == (3, 6, 0, 1)
    assert counts(CONFIGS["distilbert"] | {"activation": "relu"}) == (3, 6, 0, 1)
    assert counts(CONFIGS["mobilebert"] | {"hidden_act": "gelu"}) == (3, 0, 12, 0)
    tanh = expected_fusions(CONFIGS["bert"] | {"hidden_act": "gelu_new"}, QUESTION_ANSWERING)
    assert (tanh["BiasGelu"], tanh["FastGelu"]) == (0, 3)


def test_a_mobilebert_with_layer_norm_has_residual_layer_norms() -> None:
    """After the attention, each of four feed-forward networks and the bottleneck: six in each layer."""
    assert counts(CONFIGS["mobilebert"] | {"normalization_type": "layer_norm"}) == (3, 18, 0, 0)


def test_the_head_of_an_electra_classifier_has_a_gelu_of_its_own() -> None:
    """ELECTRA's and DeBERTa's classifier heads add one BiasGelu; the other families' heads add none."""
    for family in CONFIGS:
        extra = counts(CONFIGS[family], "text-classification")[2] - counts(CONFIGS[family])[2]
        assert extra == (1 if family in ("electra", "deberta-v2") else 0)


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_shapes_are_read_layer_by_layer(family: str) -> None:
    """Width, heads and feed-forward width of every layer come from config.json."""
    shape = architecture(CONFIGS[family]).read_shape(Config(values=CONFIGS[family], where="config.json"))
    assert shape.layer_count == 3
    for layer in shape.layers:
        assert (layer.hidden, layer.heads, layer.head_size, layer.feed_forward) == (64, 4, 16, 256)
        assert layer.feed_forwards == 1


def test_layers_of_decibert_have_a_shape_of_their_own() -> None:
    """Heads and width of every layer are its own; what is missing is 0, and no weights are promised for it."""
    family = architecture(DECIBERT)
    layers = family.read_shape(Config(values=DECIBERT, where="")).layers
    assert [(layer.heads, layer.head_size, layer.feed_forward) for layer in layers] == [
        (4, 16, 256),
        (0, 16, 96),
        (2, 16, 0),
    ]
    assert [layer.linear_weights for layer in layers] == [
        4 * 64 * 64 + 2 * 64 * 256,
        2 * 64 * 96,
        4 * 64 * 32,
    ]


def test_token_types_are_an_input_where_there_are_two() -> None:
    """A DeciBERT with one token type takes ids and mask only, as RoBERTa; others take token types, as BERT."""
    for kinds, family in ((2, "bert"), (1, "roberta")):
        values = DECIBERT | {"type_vocab_size": kinds}
        expected = architecture(CONFIGS[family]).read_inputs(Config(values=CONFIGS[family], where=""))
        assert architecture(values).read_inputs(Config(values=values, where="")) == expected


def test_factorised_embeddings_do_not_fuse() -> None:
    """Words that a linear layer widens are no lookup; without a narrower size they are."""
    assert counts(DECIBERT | {"embedding_size": 32}) == (2, 4, 2, 0)
    assert counts(DECIBERT | {"embedding_size": 64}) == (2, 4, 2, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads_per_layer": None}, "has no heads_per_layer"),
        ({"heads_per_layer": []}, r"heads_per_layer is \[\]; it must list"),
        ({"heads_per_layer": "4"}, "heads_per_layer is '4'; it must list"),
        ({"heads_per_layer": [4, 4]}, "feed_forward_per_layer has 3 numbers for 2 layers"),
        ({"heads_per_layer": [4, True, 2]}, "heads_per_layer is True for layer 1"),
        ({"heads_per_layer": [4, 10**60, 2]}, "heads_per_layer is 10+ for layer 1"),
        ({"num_hidden_layers": 2}, "heads_per_layer has 3 numbers for 2 layers"),
        ({"feed_forward_per_layer": [0, 0, 0]}, "feed_forward_per_layer is 0 in every layer"),
        ({"attention_head_size": 0}, "attention_head_size is 0"),
        ({"embedding_size": 65}, "embedding_size is 65, which is wider than hidden_size 64"),
        ({"embedding_size": 0}, "embedding_size is 0"),
        ({"position_offset": 1, "pad_token_id": 1}, "position_offset is 1"),
        ({"position_offset": "2", "pad_token_id": 1}, "position_offset is '2'"),
        ({"position_offset": 1, "pad_token_id": None}, "pad_token_id is None"),
    ],
)
def test_shapes_that_do_not_fit_are_one_line(change: dict[str, Any], message: str) -> None:
    """A DeciBERT whose numbers contradict each other is an error that names the key, the layer and the file."""
    with pytest.raises(CheckpointError, match=message) as caught:
        expected_fusions(DECIBERT | change, QUESTION_ANSWERING, "a/config.json")
    assert str(caught.value).startswith("a/config.json: ")


def test_mobilebert_attends_at_the_width_of_its_bottleneck() -> None:
    """Heads of MobileBERT share the bottleneck's width, or the hidden width without a bottleneck."""
    family = architecture(CONFIGS["mobilebert"])
    (layer, *_) = family.read_shape(Config(values=CONFIGS["mobilebert"], where="")).layers
    assert (layer.hidden, layer.head_size, layer.feed_forwards) == (64, 8, 4)
    assert layer.linear_weights == 32 * (4 * 32 + 2 * 256 * 4)
    flat = CONFIGS["mobilebert"] | {"use_bottleneck": False}
    (layer, *_) = family.read_shape(Config(values=flat, where="")).layers
    assert layer.head_size == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "distillbert"}, "did you mean 'distilbert'.; supported are"),
        ({"model_type": "ibert"}, "'ibert' is not supported; supported are"),
        ({"model_type": "xlm-roberta-xl"}, "'xlm-roberta-xl' is not supported; supported are"),
        ({"model_type": "gpt2"}, "'gpt2' is not supported; supported are"),
        ({"model_type": 5}, "names no model_type"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"num_hidden_layers": "12"}, "num_hidden_layers is '12'"),
        ({"hidden_act": 3}, "hidden_act is 3"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ({"add_cross_attention": True}, "add_cross_attention is set"),
    ],
)
def test_what_is_not_supported_is_one_line(change: dict[str, Any], message: str) -> None:
    """A config that cannot be used is an error that names the key and the file."""
    with pytest.raises(CheckpointError, match=message) as caught:
        expected_fusions(CONFIGS["bert"] | change, "squad", "a/config.json")
    assert str(caught.value).startswith("a/config.json: ")


def test_architectures_need_no_torch() -> None:
    """The families are importable with neither torch nor onnx."""
    code = (
        "import sys, quantkit.architectures as a;"
        "[a.architecture({'model_type': name}) for name in a.ARCHITECTURES];"
        "print({'torch', 'transformers', 'onnx', 'onnxruntime'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
