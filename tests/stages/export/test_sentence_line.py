"""An embedding model through the whole line: exported, quantized, evaluated, gated, written for others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner, Result

import quantkit
from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.errors import UsageError

WORDS = (
    "who",
    "wrote",
    "the",
    "long",
    "letter",
    "ann",
    "it",
    "in",
    "on",
    "a",
    "cold",
    "day",
    "said",
    "agent",
    "was",
)


def run(arguments: str) -> Result:
    return CliRunner().invoke(main, arguments.split())


@pytest.fixture(scope="module")
def line(make_checkpoint: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with fp32, int8, pairs.jsonl and texts.jsonl."""
    transformers = pytest.importorskip("transformers")
    folder: Path = tmp_path_factory.mktemp("line")
    shutil.copytree(make_checkpoint("bert", "squad").folder, folder / "encoder")
    transformers.AutoModel.from_pretrained(folder / "encoder").save_pretrained(folder / "encoder")
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, random.integers(4, 9))) for _ in range(60)]
    pairs = []
    for place, text in enumerate(texts):
        # A pair is the more alike the fewer of its words are others.
        other, changed = text.split(), int(random.integers(0, 4))
        for at in range(changed):
            other[at] = str(random.choice(WORDS))
        pairs.append(
            {"sentence1": text, "sentence2": " ".join(other), "score": -changed, "group": str(place % 8)}
        )
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    (folder / "texts.jsonl").write_text("\n".join(json.dumps({"text": text + " again"}) for text in texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTKIT_CACHE", str(folder / "cache"))
        made = [
            run(f"export {folder}/encoder -o {folder}/fp32 --task sentence-similarity --pooling mean"),
            run(f"quantize {folder}/fp32 -o {folder}/int8 --calib {folder}/texts.jsonl --calib-questions 20"),
        ]
    assert [result.stderr for result in made if result.exit_code] == []
    return folder


def test_the_gate_passes(line: Path) -> None:
    """INT8 keeps order, direction and neighbours, within limits for a model of random weights."""
    limits = "--min-ratio 0.9 --min-cosine 0.97 --min-overlap 0.7"
    result = run(f"gate {line}/int8 --baseline {line}/fp32 --data {line}/pairs.jsonl --json {limits}")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    checks = {check["name"]: check["verdict"] for check in report["checks"]}
    assert (checks["int8 coverage"], checks["cosine"], checks["nearest texts"]) == ("pass", "pass", "pass")


def test_the_api_embeds(line: Path) -> None:
    """Embeddings have length 1, and do not depend on what else is in the batch."""
    with quantkit.load(line / "int8", threads=1) as model:
        one, other = model.embed(["who wrote it", "ann wrote the long letter on a cold day"])
        np.testing.assert_allclose(np.linalg.norm([one, other], axis=1), 1, atol=1e-6, rtol=0)
        np.testing.assert_allclose(model.embed(["who wrote it"])[0], one, atol=1e-6, rtol=0)
        assert model.embed([]).shape == (0, 0)
        with pytest.raises(UsageError, match="is for sentence-similarity; classify is for text-class"):
            model.classify("a text")


def test_texts_without_scores_are_gated_by_their_embeddings(line: Path) -> None:
    """Texts alone tell whether embeddings are FP32's: the two checks decide, and an interval of nothing does not."""
    gate = f"gate {line}/int8 --baseline {line}/fp32 --data {line}/texts.jsonl --json --min-overlap 0.7"
    found = {}
    for limit, policy in ((0.97, "mlperf"), (0.999999, "mlperf"), (0.97, "statistical")):
        result = run(f"{gate} --min-cosine {limit} --policy {policy}")
        report = json.loads(result.stdout)
        found[limit, policy] = (
            report["metric"],
            report["verdict"],
            [check["name"] for check in report["checks"] if check["decides"] and check["verdict"] != "pass"],
        )
    assert found == {
        (0.97, "mlperf"): ("embeddings", "pass", []),
        (0.999999, "mlperf"): ("embeddings", "fail", ["cosine"]),
        (0.97, "statistical"): ("embeddings", "inconclusive", ["embeddings statistical"]),
    }


def test_half_of_the_scores_are_no_file(line: Path, tmp_path: Path) -> None:
    """A pair without a score among others with one is a slip, and the line names it."""
    rows = (line / "pairs.jsonl").read_text().splitlines()
    bare = {key: value for key, value in json.loads(rows[1]).items() if key != "score"}
    (tmp_path / "half.jsonl").write_text("\n".join([rows[0], json.dumps(bare), *rows[2:]]))
    result = run(f"evaluate {line}/fp32 --data {tmp_path}/half.jsonl")
    assert result.exit_code == 2
    assert "half.jsonl: line 2: score is None, not a number" in result.stderr


@pytest.mark.slow
def test_mode_auto_needs_no_scores(line: Path, tmp_path: Path) -> None:
    """Texts alone say how far a candidate's embeddings are from FP32's; the target is their mean cosine."""
    pytest.importorskip("scipy")
    asked = "--calib-questions 20 --select-questions 30 --target 0.95 --budget 120 --json"
    result = run(
        f"quantize {line}/fp32 -o {tmp_path}/auto --mode auto --calib {line}/texts.jsonl "
        f"--gate-data {line}/pairs.jsonl {asked}"
    )
    assert result.exit_code == 0, result.stderr
    report = json.loads((tmp_path / "auto" / "reports" / "search.json").read_text())
    chosen = next(one for one in report["candidates"] if one["number"] == report["chosen"])
    assert (report["met"], report["baseline_score"], chosen["ratio"]) == (True, 100.0, 1.0)
    assert 0.95 <= chosen["expected_ratio_low"] <= chosen["expected_ratio"] < 1


@pytest.mark.parametrize("name", ["fp32", "int8"])
def test_the_folder_for_sentence_transformers_gives_the_same_embeddings(
    line: Path, name: str, tmp_path: Path
) -> None:
    """Its graph ends before the pooling; pooled in numpy, the embeddings are the artifact's, padded or not."""
    result = run(f"convert {line}/{name} -o {tmp_path}/out --json")
    assert result.exit_code == 0, result.output
    path = Path(json.loads(result.stdout)["model"])
    assert path.name.startswith("model_qint8_" if name == "int8" else "model.onnx")
    modules = json.loads((tmp_path / "out" / "modules.json").read_text())
    assert [module["type"].rpartition(".")[2] for module in modules] == [
        "Transformer",
        "Pooling",
        "Normalize",
    ]
    pooling = json.loads((tmp_path / "out" / "1_Pooling" / "config.json").read_text())
    assert (pooling["pooling_mode_mean_tokens"], pooling["word_embedding_dimension"]) == (True, 32)
    assert [output.name for output in onnx.load(path).graph.output] == ["last_hidden_state"]
    artifact = Artifact.open(line / name)
    mask = (np.arange(12) < [[12], [7]]).astype(np.int64)
    ids = np.random.default_rng(1).integers(5, 50, (2, 12)) * mask
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    (tokens,) = onnxruntime.InferenceSession(path).run(["last_hidden_state"], feeds)
    mean = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    wanted = onnxruntime.InferenceSession(artifact.model_path).run(["sentence_embedding"], feeds)[0]
    np.testing.assert_allclose(mean / np.linalg.norm(mean, axis=1, keepdims=True), wanted, atol=1e-5, rtol=0)
