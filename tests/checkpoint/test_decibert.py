"""DeciBERT's classes: BERT and RoBERTa where layers are alike, a constant where something is missing."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quantkit.errors import CheckpointError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from quantkit.checkpoint.decibert import DeciBertConfig, DeciBertModel  # noqa: E402
from quantkit.checkpoint.decibert_heads import (  # noqa: E402
    DeciBertForQuestionAnswering,
    DeciBertForSequenceClassification,
)

SHAPE: dict[str, Any] = {"vocab_size": 50, "hidden_size": 32, "max_position_embeddings": 40}
ALIKE: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
UNLIKE: dict[str, Any] = {
    **SHAPE,
    "attention_head_size": 8,
    "heads_per_layer": [4, 0, 3],
    "feed_forward_per_layer": [64, 24, 0],
}


def randomize(model: Any) -> Any:
    """Give every weight a value of its own: biases of 0 and norms of 1 would hide a mistake."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def rows(pad: int) -> dict[str, Any]:
    """Return three rows, one of them padded."""
    ids = torch.randint(2, SHAPE["vocab_size"], (3, 17), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 10:], ids[1, 10:] = 0, pad
    return {"input_ids": ids, "attention_mask": mask}


def with_weights_of(teacher: Any, prefix: str, config: DeciBertConfig, kind: type) -> Any:
    """Return a DeciBERT with a teacher's weights, all of them."""
    student = kind(config)
    weights = {
        f"decibert.{name.removeprefix(f'{prefix}.')}" if name.startswith(f"{prefix}.") else name: weight
        for name, weight in teacher.state_dict().items()
    }
    student.load_state_dict(weights)
    return student.eval()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    ("kind", "teacher_class", "head", "of_teacher", "of_student"),
    [
        ("bert", "BertForQuestionAnswering", DeciBertForQuestionAnswering, {}, {}),
        ("bert", "BertForSequenceClassification", DeciBertForSequenceClassification, {"num_labels": 3}, {}),
        (
            "roberta",
            "RobertaForQuestionAnswering",
            DeciBertForQuestionAnswering,
            {"type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1e-5},
            {"position_offset": 2},
        ),
    ],
    ids=["bert", "bert classifier", "roberta"],
)
def test_layers_that_are_alike_compute_what_the_teacher_does(
    kind: str,
    teacher_class: str,
    head: type,
    of_teacher: dict[str, Any],
    of_student: dict[str, Any],
    attention: str,
) -> None:
    """With a teacher's weights, logits and all hidden states are the same bit by bit, padded rows too."""
    config = transformers.AutoConfig.for_model(kind, **SHAPE, **ALIKE, **of_teacher)
    teacher = randomize(getattr(transformers, teacher_class)(config))
    shape = {"attention_head_size": 8, "num_hidden_layers": 2, "feed_forward_per_layer": [64, 64]}
    student = with_weights_of(
        teacher, kind, DeciBertConfig(**SHAPE, **shape, **of_teacher, **of_student), head
    )
    found = []
    for model in (teacher, student):
        model.set_attn_implementation(attention)
        with torch.inference_mode():
            found.append(model(**rows(config.pad_token_id), output_hidden_states=True))
    for name in set(found[0]) - {"hidden_states"}:
        assert torch.equal(found[0][name], found[1][name])
    assert len(found[0].hidden_states) == len(found[1].hidden_states) == 3
    assert all(map(torch.equal, found[0].hidden_states, found[1].hidden_states))


def test_what_is_missing_is_a_constant() -> None:
    """An attention whose output weights are zero, and one that is missing, compute the same; a network likewise."""
    whole = randomize(DeciBertModel(DeciBertConfig(**{**UNLIKE, "heads_per_layer": [4, 2, 3]})))
    parts = ("encoder.layer.1.attention.self", "encoder.layer.1.attention.output.dense.weight")
    with torch.no_grad():
        whole.encoder.layer[1].attention.output.dense.weight.zero_()
    missing = DeciBertModel(DeciBertConfig(**UNLIKE)).eval()
    missing.load_state_dict(
        {name: weight for name, weight in whole.state_dict().items() if not name.startswith(parts)}
    )
    with torch.inference_mode():
        outputs = [model(**rows(0)).last_hidden_state for model in (whole, missing)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-6)
    names = {
        name.removeprefix("encoder.layer.2.output.") for name in missing.state_dict() if ".2.output" in name
    }
    assert names == {"dense.bias", "LayerNorm.weight", "LayerNorm.bias"}


def test_factorised_words_are_their_product() -> None:
    """A narrow table and its projection are the wide table that is their product."""
    narrow = randomize(DeciBertModel(DeciBertConfig(**UNLIKE, embedding_size=8)))
    wide = DeciBertModel(DeciBertConfig(**UNLIKE)).eval()
    weights = narrow.state_dict()
    projection = weights.pop("embeddings.projection.weight")
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"] @ projection.T
    wide.load_state_dict(weights)
    with torch.inference_mode():
        outputs = [model(**rows(0)).last_hidden_state for model in (narrow, wide)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-5)


def test_a_saved_checkpoint_is_loaded_as_it_was(tmp_path: Path) -> None:
    """Config and weights come back through the Auto classes, in safetensors, with the agreed keys in config.json."""
    config = DeciBertConfig(**UNLIKE, embedding_size=16, position_offset=1, type_vocab_size=1)
    model = randomize(DeciBertForQuestionAnswering(config))
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        "config.json",
        "model.safetensors",
    }
    again = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path).eval()
    assert type(again) is DeciBertForQuestionAnswering
    for key in (*UNLIKE, "embedding_size", "position_offset", "type_vocab_size"):
        assert getattr(again.config, key) == getattr(config, key)
    assert again.config.num_hidden_layers == 3
    with torch.inference_mode():
        assert torch.equal(model(**rows(0)).start_logits, again(**rows(0)).start_logits)


def test_it_learns() -> None:
    """The loss reaches every parameter, the constants of missing parts too; attentions are recorded."""
    model = DeciBertForQuestionAnswering(DeciBertConfig(**UNLIKE, attn_implementation="eager"))
    known = {"start_positions": torch.tensor([1, 2, 99]), "end_positions": torch.tensor([3, 2, 99])}
    output = model(**rows(0), **known, output_attentions=True)
    output.loss.backward()
    # A key's bias moves every score of a query alike, so its gradient may be zero; it is there.
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert [tuple(weights.shape[1:2]) for weights in output.attentions] == [(4,), (3,)]


@pytest.mark.parametrize(
    ("labels", "known"),
    [(1, [0.5, -1.0, 3.0]), (3, [2, 0, 1]), (3, [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])],
    ids=["one number", "one label", "any labels"],
)
def test_a_classifier_learns_what_berts_would(labels: int, known: Any) -> None:
    """The loss is that of BERT's class: with one label it is no cross entropy, which would be 0."""
    theirs = randomize(
        transformers.BertForSequenceClassification(
            transformers.BertConfig(**SHAPE, **ALIKE, num_labels=labels)
        )
    )
    shape = {"attention_head_size": 8, "num_hidden_layers": 2, "feed_forward_per_layer": [64, 64]}
    config = DeciBertConfig(**SHAPE, **shape, num_labels=labels)
    ours = with_weights_of(theirs, "bert", config, DeciBertForSequenceClassification)
    found, expected = (model(**rows(0), labels=torch.tensor(known)).loss for model in (ours, theirs))
    assert torch.equal(found, expected)
    assert found > 0


def test_tokenizers_that_do_not_name_their_class_are_read_as_the_teachers(tmp_path: Path) -> None:
    """By BERT's class, or by RoBERTa's where the positions are RoBERTa's."""
    DeciBertConfig(**UNLIKE).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nwho\n")
    assert type(transformers.AutoTokenizer.from_pretrained(tmp_path)).__name__ == "BertTokenizer"
    assert DeciBertConfig(**UNLIKE, position_offset=1).tokenizer_class == "RobertaTokenizer"


def test_the_default_is_bert_base() -> None:
    """Without any argument the shape is BERT-Base's."""
    config = DeciBertConfig()
    assert config.heads_per_layer == [12] * 12
    assert config.feed_forward_per_layer == [3072] * 12
    assert (config.embedding_size, config.num_hidden_layers) == (768, 12)


def test_numbers_that_do_not_fit_are_refused() -> None:
    """The class refuses what export refuses."""
    with pytest.raises(CheckpointError, match=r"DeciBertConfig: heads_per_layer has 2 numbers for 3 layers"):
        DeciBertConfig(**{**UNLIKE, "num_hidden_layers": 3, "heads_per_layer": [4, 4]})


@pytest.mark.parametrize(
    "code",
    [
        "import sys, quantkit; assert not {'torch', 'transformers'} & set(sys.modules);"
        # BertModel imports the Auto classes before it is imported itself.
        "from transformers import BertModel, AutoModelForQuestionAnswering as Auto, AutoConfig;"
        "print(type(Auto.from_config(AutoConfig.for_model('decibert', hidden_size=64))).__name__)",
        "from transformers import AutoConfig; import quantkit;"
        "print(type(AutoConfig.for_model('decibert')).__name__)",
    ],
    ids=["quantkit first", "transformers first"],
)
def test_transformers_knows_it_when_quantkit_is_imported(code: str) -> None:
    """In whichever order they are imported, and quantkit alone imports neither torch nor transformers."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() in ("DeciBertForQuestionAnswering", "DeciBertConfig")
