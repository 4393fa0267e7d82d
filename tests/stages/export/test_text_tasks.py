"""Several labels, a number, an order of passages: each from a checkpoint through export, INT8 and the gate.

The checkpoints are random, and the data says of each text what FP32 says of it: what INT8 loses is all there is to see.
The damaged candidate is the same INT8 with its head's weights in another order.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.errors import UsageError
from quantkit.records import GateReport
from quantkit.tasks.prepared import Reader

TASKS = {"multi-label-classification": 4, "text-regression": 1, "reranking": 1}
"""Name → labels of the model."""
EACH = [pytest.param(task, marks=() if task == "reranking" else pytest.mark.slow) for task in TASKS]
TEXTS, PASSAGES = 96, 4
LETTERS = tuple("abcdefgh0123456789")
HEAD = "classifier.weight"
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS))


def run(*arguments: str, expected: tuple[int, ...] = (0,)) -> str:
    """Run a command and return what it prints."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code in expected, result.output
    return result.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes the folder of a task once: `ck`, `fp32`, `data.jsonl`."""
    folders: dict[str, Path] = {}

    def make(task: str) -> Path:
        if task not in folders:
            folders[task] = tmp_path_factory.mktemp(task)
            _save_checkpoint(folders[task] / "ck", task)
            run("export", str(folders[task] / "ck"), "-o", str(folders[task] / "fp32"), "--task", task)
            _write_data(folders[task], task)
        return folders[task]

    return make


def _save_checkpoint(folder: Path, task: str, *, seed: int = 0) -> None:
    import torch
    import transformers

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        initializer_range=0.2,
        id2label={number: f"label{number}" for number in range(TASKS[task])},
        problem_type="multi_label_classification" if task.startswith("multi") else None,
    )
    model = transformers.BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(folder)


def _write_data(folder: Path, task: str) -> None:
    """Label random texts as the FP32 artifact does."""
    random = np.random.default_rng(1)

    def text() -> str:
        return " ".join("".join(random.choice(LETTERS, 3)) for _ in range(random.integers(3, 9)))

    rows: list[dict[str, Any]]
    if task == "reranking":
        rows = [
            {"query": query, "passage": text()}
            for query in [f"{at} {text()}" for at in range(TEXTS // PASSAGES)]
            for _ in range(PASSAGES)
        ]
    else:
        rows = [{"id": str(at), "text": text()} for at in range(TEXTS)]
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = _answers(Artifact.open(folder / "fp32"), path)
    for number, row in enumerate(rows):
        if task == "reranking":
            first = number - number % PASSAGES
            row["relevance"] = int(said[number, 0] == said[first : first + PASSAGES, 0].max())
        elif task == "text-regression":
            row["score"] = float(said[number, 0])
        else:
            row["labels"] = [f"label{at}" for at in np.flatnonzero(said[number] > 0)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _answers(artifact: Artifact, path: Path) -> np.ndarray:
    """Return the logits of every row, [rows, labels]."""
    from quantkit.engines import open_engine
    from quantkit.runtime.profile import profile_of
    from quantkit.runtime.run import Job, run_job

    reader = Reader.of(artifact)
    prepared = reader.prepare(reader.task.read(path, "data"))
    profile = profile_of(artifact)
    with open_engine(artifact.model_path, outputs=("logits",), profile=profile, name="fp32") as engine:
        outputs = run_job(engine, Job.of(prepared, profile.batches(prepared.lengths)), label="data")
    return np.stack([logits for (logits,) in outputs])


@pytest.mark.parametrize("task", EACH)
def test_int8_passes_and_a_damaged_head_fails(made: Callable[[str], Path], tmp_path: Path, task: str) -> None:
    """FP32 is right everywhere; INT8 keeps nine tenths of the score, and with a shuffled head it does not."""
    folder = made(task)
    data, fp32 = str(folder / "data.jsonl"), str(folder / "fp32")
    baseline = json.loads(run("evaluate", fp32, "--data", data, "--json"))
    # Labels are of the same logits, in batches of other sizes: what is near a threshold may turn.
    assert baseline["f1"] > 99
    damaged = tmp_path / "damaged-ck"
    _damage(folder / "ck", damaged)
    run("export", str(damaged), "-o", str(tmp_path / "damaged-fp32"), "--task", task)
    verdicts = {}
    for name, source in (("int8", fp32), ("damaged", str(tmp_path / "damaged-fp32"))):
        out = str(tmp_path / name)
        run("quantize", source, "-o", out, "--calib", data, "--calib-questions", "8")
        found = run(
            "gate", out, "--baseline", fp32, "--data", data, "--min-ratio", "0.9", "--json", expected=(0, 3)
        )
        report = GateReport.model_validate(json.loads(found))
        verdicts[name] = next(check for check in report.checks if check.name.endswith("mlperf")).verdict
    assert verdicts == {"int8": "pass", "damaged": "fail"}


def _damage(checkpoint: Path, out: Path) -> None:
    import shutil

    from safetensors.numpy import load_file, save_file

    shutil.copytree(checkpoint, out)
    weights = load_file(out / "model.safetensors")
    shuffled = np.random.default_rng(0).permutation(weights[HEAD].shape[1])
    save_file({**weights, HEAD: np.ascontiguousarray(weights[HEAD][:, shuffled])}, out / "model.safetensors")


@pytest.mark.parametrize("task", EACH)
def test_models_are_asked_from_python(made: Callable[[str], Path], task: str) -> None:
    """Each task has its call, and refuses that of another by name."""
    import quantkit

    with quantkit.load(made(task) / "fp32") as model:
        if task == "reranking":
            ranked = model.rerank("abc", ["a", "def", "hg"])
            assert sorted(entry.passage for entry in ranked) == [0, 1, 2]
            assert ranked[0].score >= ranked[1].score >= ranked[2].score
            with pytest.raises(UsageError, match="score is for text-regression"):
                model.score("abc")
        elif task == "text-regression":
            one, two = model.scores(["abc", ("abc", "def")])
            # Batches of other sizes.
            assert model.score("abc", "def") == pytest.approx(two, abs=1e-5)
            assert one != two
        else:
            labels = model.classify("abc def")
            assert sorted(label.name for label in labels) == [f"label{number}" for number in range(4)]
            shares = [label.score for label in labels]
            assert shares == sorted(shares, reverse=True)
