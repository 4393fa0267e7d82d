"""Models of few and of many positions go through the whole line at lengths that fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.recipe.settings import EvaluateSettings
from quantkit.stages.evaluate import evaluate
from tests.stages.export.conftest import write_byte_level, write_wordpiece


def run(*arguments: object) -> Any:
    """Run a command and return the JSON it prints."""
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code in (0, 3, 4), result.stderr
    return json.loads(result.stdout)


def test_export_says_what_the_other_stages_read(
    export_plain: Callable[[str, str], Artifact], span_questions: Path
) -> None:
    """RoBERTa's table of 66 holds rows of 64; an evaluation is of the manifest's lengths, and says so."""
    for family in ("bert", "roberta"):
        artifact = export_plain(family, "squad")
        lengths = {
            "max_length": 64,
            "doc_stride": 21,
            "max_query_length": 21,
            "n_best": 20,
            "max_answer_length": 30,
        }
        assert artifact.manifest.lengths == lengths
        found = evaluate(artifact, settings=EvaluateSettings(data=str(span_questions)), cached=False)
        assert found.settings["features"] == lengths
    assert export_plain("bert", "text-classification").manifest.lengths == {"max_length": 64}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "positions", "length", "stride"),
    [
        ("bert", 64, 64, 21),
        ("bert", 128, 128, 42),
        ("roberta", 130, 128, 42),
        ("bert", 512, 384, 128),
        ("roberta", 514, 384, 128),
        ("bert", 8192, 384, 128),
    ],
)
def test_the_whole_line(
    tmp_path: Path, span_questions: Path, family: str, positions: int, length: int, stride: int
) -> None:
    """Exported, fused, calibrated, evaluated, gated and measured, none of it told a length."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    folder, data = tmp_path / "checkpoint", ("--data", span_questions)
    folder.mkdir()
    roberta = family == "roberta"
    common = {
        "vocab_size": write_byte_level(folder) if roberta else write_wordpiece(folder),
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": positions,
        "num_labels": 2,
        "initializer_range": 0.3,
    }
    torch.manual_seed(2)  # weights whose answers are not all wrong, for a gate needs a score
    config = transformers.AutoConfig.for_model(
        family, **common, **({"type_vocab_size": 1} if roberta else {})
    )
    transformers.AutoModelForQuestionAnswering.from_config(config).save_pretrained(folder)
    fp32, int8 = tmp_path / "fp32", tmp_path / "int8"
    run("export", folder, "-o", fp32)
    run("quantize", fp32, "-o", int8, "--mode", "static", "--calib", span_questions, "--calib-questions", 6)
    said = Artifact.open(int8).manifest.lengths
    assert (said["max_length"], said["doc_stride"]) == (length, stride)
    gate = run("gate", int8, "--baseline", fp32, *data, "--trusted")
    assert gate["questions"] == 6
    assert run("evaluate", int8, *data)["settings"]["features"] == said
    assert run("bench", fp32, int8, *data, "--questions", 2, "--repeats", 2, "--max-repeats", 2)["results"]
