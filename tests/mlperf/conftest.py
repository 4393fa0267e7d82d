"""A model of one table lookup that answers questions, questions for it, and a submission without a fault."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from quantkit.artifact import Artifact, new_artifact
from quantkit.mlperf.accuracy import Score
from quantkit.mlperf.finished import FinishedScenario
from quantkit.mlperf.rules import SCENARIOS, SEEDS, SYSTEM_FIELDS
from quantkit.mlperf.settings import Entry
from quantkit.mlperf.submission import write_submission

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *["who", "wrote", "sent", "the", "letter", "book", "was", "ann", "bob", "?", "."],
]
GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask)
  => (float[batch, sequence] start_logits, float[batch, sequence] end_logits)
{
    logits = Gather (table, input_ids)
    start_part, end_part = Split <axis = 2> (logits)
    start_logits = Squeeze (start_part, axes)
    end_logits = Squeeze (end_part, axes)
}
"""
LogMaker = Callable[..., str]


@pytest.fixture
def tiny_artifact(tmp_path: Path) -> Callable[..., Artifact]:
    """Return a function that makes an artifact; with `words` its table knows fewer words than its tokenizer."""

    def make(name: str = "tiny", *, words: int = len(WORDS), nan: bool = False) -> Artifact:
        table = np.random.default_rng(0).normal(size=(words, 2)).astype(np.float32)
        if nan:
            table[:] = np.nan
        model = onnx.parser.parse_model(GRAPH)
        model.graph.initializer.append(numpy_helper.from_array(table, "table"))
        model.graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), "axes"))
        with new_artifact(tmp_path / name) as draft:
            onnx.save(model, draft.model_path)
            (draft.path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
            config = {"model_type": "bert", "vocab_size": len(WORDS), "type_vocab_size": 2}
            (draft.path / "config.json").write_text(json.dumps(config), encoding="utf-8")
            draft.record(task="squad", architecture="bert", precision="fp32", stages=(), parent=None)
        return Artifact.open(tmp_path / name)

    return make


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Return a file of 12 questions over texts of different lengths."""
    paragraphs = []
    for count in range(1, 7):
        text = "Ann wrote the letter. " * count + "Bob sent the book."
        qas = [
            {"id": f"{count}-{number}", "question": asked, "answers": [{"text": gold}]}
            for number, (asked, gold) in enumerate([("Who wrote the letter?", "Ann"), ("Who sent?", "Bob")])
        ]
        paragraphs.append({"context": text, "qas": qas})
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}), encoding="utf-8")
    return path


def log_text(values: dict[str, Any], errors: tuple[str, ...] = ()) -> str:
    """Return a detail log as LoadGen writes one."""
    entries = [(key, value, False) for key, value in values.items()]
    entries += [("error_uncommitted_loadgen_changes", message, True) for message in errors]
    lines = [
        ":::MLLOG "
        + json.dumps({"key": key, "value": value, "metadata": {"is_error": is_error, "is_warning": False}})
        for key, value, is_error in entries
    ]
    return "\n".join(lines) + "\n"


def performance_values(scenario: str) -> dict[str, Any]:
    """Return what LoadGen says of a performance run without a fault."""
    values = {
        "loadgen_version": "6.0.17 @ 0",
        "effective_scenario": scenario,
        "effective_test_mode": "PerformanceOnly",
        "effective_min_duration_ms": 600_000,
        "effective_performance_sample_count": 10_833,
        "effective_samples_per_query": 70_000 if scenario == "Offline" else 1,
        "result_validity": "VALID",
        "early_stopping_met": True,
        **{f"effective_{name}": seed for name, seed in asdict(SEEDS["v6.1"]).items()},
    }
    if scenario == "SingleStream":
        values |= {"early_stopping_latency_ss": 12_500_000}
    return values


def accuracy_values(scenario: str) -> dict[str, Any]:
    """Return what LoadGen says of an accuracy run without a fault."""
    return {
        "effective_scenario": scenario,
        "effective_test_mode": "AccuracyOnly",
        "qsl_reported_total_count": 10_833,
    }


@pytest.fixture
def submission(tmp_path: Path, tiny_artifact: Callable[..., Artifact]) -> Path:
    """Return a submission to the open division that nothing is wrong with."""
    finished = []
    for name, scenario in SCENARIOS.items():
        logs = {}
        for mode, values in (("a", accuracy_values(scenario)), ("p", performance_values(scenario))):
            logs[mode] = tmp_path / "logs" / scenario / mode
            logs[mode].mkdir(parents=True)
            (logs[mode] / "mlperf_log_detail.txt").write_text(log_text(values), encoding="utf-8")
            (logs[mode] / "mlperf_log_summary.txt").write_text("Result is : VALID\n", encoding="utf-8")
        (logs["a"] / "mlperf_log_accuracy.json").write_bytes(b"[" + b" " * 20_000 + b"]")
        finished.append(
            FinishedScenario(
                scenario=name,
                user_conf="bert.Offline.target_qps = 100\n",
                accuracy=logs["a"],
                score=Score(f1=91.0, exact_match=84.0),
                performance=logs["p"],
                command="quantkit mlperf tiny",
            )
        )
    description = dict.fromkeys(SYSTEM_FIELDS, "x") | {"division": "open", "submitter": "Acme"}
    description |= {"status": "available", "system_type": "edge", "system_name": "box"}
    entry = Entry(division="open", submitter="Acme", system="box", description=description, retraining="No")
    root = tmp_path / "submission"
    write_submission(
        root,
        tiny_artifact(),
        entry=entry,
        benchmark="bert-99.9",
        finished=tuple(finished),
        reasons=(),
    )
    return root
