"""Tests of the scripts that make models: their promises, on the smallest sizes."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scripts import load_script

torch = pytest.importorskip("torch", reason="the models are made with torch (pip install quantkit[export])")

import transformers  # noqa: E402
from transformers import BertForQuestionAnswering  # noqa: E402

from quantkit.architectures import Config  # noqa: E402
from quantkit.artifact import Artifact  # noqa: E402
from quantkit.checkpoint import read_checkpoint  # noqa: E402
from quantkit.quickstart.train import MODEL  # noqa: E402
from quantkit.recipe import EvaluateSettings, ExportSettings  # noqa: E402
from quantkit.stages.evaluate import evaluate  # noqa: E402
from quantkit.stages.export import export  # noqa: E402
from quantkit.tasks import task  # noqa: E402
from quantkit.tasks.text_classification import TASK as TEXT_CLASSIFICATION  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent


bert_large_shape = load_script("benchmarks/models/bert_large_shape.py")
classifier = load_script("benchmarks/models/classifier.py")
callers = load_script("benchmarks/models/callers.py")
decibert_shape = load_script("benchmarks/models/decibert_shape.py")
outliers = load_script("benchmarks/models/outliers.py")
halved = load_script("benchmarks/models/halved.py")
roberta_qa = load_script("benchmarks/models/roberta_qa.py")


@pytest.fixture(autouse=True)
def one_thread():
    """Use one thread: for rows this small, more of them only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def span_logits(folder: Path) -> np.ndarray:
    """Return what a BERT says about random tokens, float32 [2, rows, tokens]."""
    model = BertForQuestionAnswering.from_pretrained(folder).eval()
    random = np.random.default_rng(0)
    ids = torch.from_numpy(random.integers(5, model.config.vocab_size, (4, 96)))
    types = torch.zeros_like(ids)
    types[:, 12:] = 1
    with torch.inference_mode():
        output = model(input_ids=ids, token_type_ids=types)
    return torch.stack((output.start_logits, output.end_logits)).numpy()


@pytest.mark.parametrize("places", [["values", "head"], ["offsets"], ["values", "head", "offsets"]])
def test_outliers_leave_logits_as_they_were(tmp_path: Path, places: list[str]) -> None:
    """Planted outliers are compensated: FP32 logits of the quickstart's model do not change."""
    assert outliers.main([str(MODEL), "-o", str(tmp_path / "out"), "--places", *places]) == 0
    np.testing.assert_allclose(span_logits(tmp_path / "out"), span_logits(MODEL), rtol=0, atol=1e-3)


@pytest.mark.parametrize("head", ["QuestionAnswering", "SequenceClassification"])
@pytest.mark.parametrize("family", ["Bert", "Roberta", "Electra", "DistilBert"])
def test_outliers_fit_every_family(tmp_path: Path, family: str, head: str) -> None:
    """Both heads of the four families with a post-norm encoder keep their logits."""
    random_checkpoint(tmp_path / "in", family, head)
    places = ["--places", "values", "head", "offsets"]
    assert outliers.main([str(tmp_path / "in"), "-o", str(tmp_path / "out"), *places]) == 0
    ids = torch.arange(5, 25)[None]
    before, after = (
        getattr(transformers, f"{family}For{head}").from_pretrained(tmp_path / name).eval()
        for name in ("in", "out")
    )
    with torch.inference_mode():
        for one, other in zip(before(input_ids=ids).to_tuple(), after(input_ids=ids).to_tuple(), strict=True):
            torch.testing.assert_close(other, one, rtol=0, atol=1e-3)


def random_checkpoint(folder: Path, family: str, head: str) -> None:
    """Write a model of two narrow layers in which every weight is random, with the quickstart's tokenizer."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    if family == "DistilBert":
        size = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    if family == "Electra":
        size["embedding_size"] = 32
    config = getattr(transformers, f"{family}Config")(vocab_size=2274, **size)
    model = getattr(transformers, f"{family}For{head}")(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(MODEL / name, folder / name)


def test_outliers_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    """Three value channels a layer and three of the last LayerNorm are 50 times as large, and no others."""
    assert outliers.main([str(MODEL), "-o", str(tmp_path / "out"), "--channels", "3"]) == 0
    before, after = load_file(MODEL / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    layers = range(4)
    expected = {f"bert.encoder.layer.{layer}.attention.self.value.weight" for layer in layers}
    expected |= {f"bert.encoder.layer.{layer}.attention.self.value.bias" for layer in layers}
    expected |= {f"bert.encoder.layer.{layer}.attention.output.dense.weight" for layer in layers}
    expected |= {"bert.encoder.layer.3.output.LayerNorm.weight", "bert.encoder.layer.3.output.LayerNorm.bias"}
    assert changed == expected | {"qa_outputs.weight"}
    gamma = "bert.encoder.layer.3.output.LayerNorm.weight"
    ratios = np.sort(after[gamma] / before[gamma])
    np.testing.assert_allclose(ratios[-3:], 50, rtol=1e-6)
    np.testing.assert_array_equal(ratios[:-3], 1)


def test_outliers_depend_on_the_seed_alone(tmp_path: Path) -> None:
    """The same seed gives the same bytes, another seed other channels."""
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert outliers.main([str(MODEL), "-o", str(tmp_path / name), "--seed", str(seed)]) == 0
    one, again, other = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "again", "other")
    )
    assert one == again
    assert one != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--channels", "33"], "give at most a quarter of the 128 channels"),
        (["--factor", "0"], "--factor above 0"),
    ],
)
def test_outliers_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """What cannot be planted is one line and exit code 2, and no folder appears."""
    assert outliers.main([str(MODEL), "-o", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_large_shape_is_a_checkpoint_whose_logits_vary(tmp_path: Path) -> None:
    """Every weight is there, logits are finite and vary even after 24 layers, a seed gives the same bytes."""
    size = ["--layers", "24", "--hidden", "64", "--heads", "4", "--ffn", "256", "--vocab", "1000"]
    for name in ("one", "two"):
        options = ["-o", str(tmp_path / name), "--tokenizer", str(MODEL), *size]
        assert bert_large_shape.main(options) == 0
    checkpoint = read_checkpoint(str(tmp_path / "one"), task="squad")
    assert (checkpoint.shape.layer_count, checkpoint.vocab_size) == (24, 1000)
    _, report = BertForQuestionAnswering.from_pretrained(tmp_path / "one", output_loading_info=True)
    assert {name for names in report.values() for name in names} == set()
    logits = span_logits(tmp_path / "one")
    assert np.isfinite(logits).all()
    assert 0.3 < logits.std(axis=2).mean() < 3
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_the_reconstruction_has_115_million_parameters() -> None:
    """decibert_large.json is a shape of the family with as many parameters as the original had."""
    values = decibert_shape.read_shape(decibert_shape.SHAPE)
    tensors = decibert_shape.list_tensors(Config(values=values, where=str(decibert_shape.SHAPE)))
    assert sum(tensor.bytes // 4 for tensor in tensors) == 115_053_058


def test_a_decibert_of_random_weights_is_a_checkpoint(tmp_path: Path) -> None:
    """Every weight of a shape with missing parts is there, and rows are as long as RoBERTa's positions allow."""
    roberta_qa.train_tokenizer(tmp_path, passages=60)
    shape = json.loads(decibert_shape.SHAPE.read_text()) | {"vocab_size": 3000, "hidden_size": 64}
    shape |= {"embedding_size": 32, "attention_head_size": 8, "num_hidden_layers": 3}
    shape |= {"heads_per_layer": [4, 0, 2], "feed_forward_per_layer": [96, 64, 0]}
    (tmp_path / "shape.json").write_text(json.dumps(shape))
    options = ["--tokenizer", str(tmp_path), "--shape", str(tmp_path / "shape.json")]
    assert decibert_shape.main(["-o", str(tmp_path / "made"), *options]) == 0
    checkpoint = read_checkpoint(str(tmp_path / "made"), task="squad")
    assert (checkpoint.vocab_size, checkpoint.max_positions) == (3000, 512)
    _, report = transformers.AutoModelForQuestionAnswering.from_pretrained(
        tmp_path / "made", output_loading_info=True
    )
    assert {name for names in report.values() for name in names} == set()


def test_roberta_has_byte_level_tokens_and_positions_from_2(tmp_path: Path) -> None:
    """The tokenizer puts two separators between texts, and padding does not move the positions of other tokens."""
    tokenizer = roberta_qa.train_tokenizer(tmp_path, passages=60)
    assert (tokenizer.cls_id, tokenizer.pad_id, tokenizer.sep_id, tokenizer.separators) == (0, 1, 2, 2)
    assert not tokenizer.uses_token_types
    model = roberta_qa.build_model(MODEL, tokenizer).eval()
    assert model.config.max_position_embeddings == 514
    texts = tokenizer.encode_ids(["Who called?", "Ada Okafor called about £12.50."])
    ids = torch.from_numpy(tokenizer.row(*texts)[0])[None]
    padded = torch.nn.functional.pad(ids, (0, 3), value=tokenizer.pad_id)
    positions = torch.arange(ids.shape[1])[None] + 2
    with torch.inference_mode():
        expected = model(input_ids=ids, position_ids=positions).start_logits
        found = model(input_ids=padded, attention_mask=(padded != tokenizer.pad_id).long()).start_logits
    torch.testing.assert_close(found[:, : ids.shape[1]], expected, rtol=0, atol=1e-5)


def test_roberta_vocabulary_has_no_names_or_long_numbers(tmp_path: Path) -> None:
    """Names and long numbers are cut into pieces, so that those of the held-out part are nothing new."""
    tokenizer = roberta_qa.train_tokenizer(tmp_path, passages=60)
    name, number, word = tokenizer.encode_ids([" Okafor", " 48213", " called"])
    assert len(name) > 1
    assert len(number) > 2
    assert len(word) == 1


def test_classifier_data_is_disjoint_and_reads(tmp_path: Path) -> None:
    """The parts share no sentence with each other or with training, and have every label."""
    classifier.write_data(tmp_path, 0)
    texts = {
        "training": {row.text for row in itertools.islice(classifier.write_sentences("training", 0), 3000)}
    }
    for part, count in classifier.PARTS.items():
        dataset = TEXT_CLASSIFICATION.read(tmp_path / f"{part}.jsonl", part)
        assert len(dataset.questions) == count
        texts[part] = {question.text for question in dataset.questions}
        assert len(texts[part]) == count
        assert {question.label for question in dataset.questions} == set(classifier.labels())
    for one, other in itertools.combinations(texts.values(), 2):
        assert not one & other


def test_classifier_data_depends_on_the_seed_alone(tmp_path: Path) -> None:
    """The same seed gives the same files, another seed others."""
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        classifier.write_data(tmp_path / name, seed)
    one, again, other = (
        (tmp_path / name / "evaluation.jsonl").read_bytes() for name in ("one", "again", "other")
    )
    assert one == again
    assert one != other


@pytest.mark.parametrize(
    ("kind", "name"), [("multi-label", "multi-label-classification"), ("reranking", "reranking")]
)
def test_callers_data_is_read(tmp_path: Path, kind: str, name: str) -> None:
    """Some callers want nothing and some several things; each query has one passage that wants the same."""
    make = callers.multi_label if kind == "multi-label" else callers.reranking
    callers.write_data(tmp_path, make, {"evaluation": 40}, 0)
    dataset = task(name).read(tmp_path / "evaluation.jsonl", "evaluation")
    assert len(dataset.questions) == 40
    if kind == "reranking":
        assert all(sorted(question.relevance) == [0, 0, 0, 0, 0, 1, 1, 2] for question in dataset.questions)
    else:
        assert {len(question.labels) for question in dataset.questions} == {0, 1, 2, 3}
    seen = {found[0].texts[0] for found in itertools.islice(callers.write_examples(make, "training", 0), 300)}
    assert not seen & {getattr(question, "query", None) or question.text for question in dataset.questions}


def test_tiny_classifier_goes_through_the_line(tiny_classifier: Path, tmp_path: Path) -> None:
    """It is small, exports for its task, and is right about most but not all sentences."""
    checkpoint = tiny_classifier / "checkpoint"
    assert (checkpoint / "model.safetensors").stat().st_size < 300_000
    assert json.loads((checkpoint / "config.json").read_text())["id2label"]["0"] == "cancel"
    artifact: Artifact = export(
        str(checkpoint), tmp_path / "fp32", task="text-classification", settings=ExportSettings()
    )
    data = str(tiny_classifier / "data" / "evaluation.jsonl")
    evaluation = evaluate(artifact, settings=EvaluateSettings(data=data))
    assert 85 < evaluation.f1 < 99


def test_a_halved_student_is_read_as_a_checkpoint(tmp_path: Path) -> None:
    """Half of the neurons of each layer are there, and its files fit each other."""
    from quantkit.checkpoint import read_checkpoint

    assert halved.main([str(MODEL), "-o", str(tmp_path / "half")]) == 0
    student, teacher = (read_checkpoint(str(place), task="squad") for place in (tmp_path / "half", MODEL))
    assert [2 * layer.feed_forward for layer in student.shape.layers] == [
        layer.feed_forward for layer in teacher.shape.layers
    ]
