"""Bytes that run are the bytes that were hashed, in every stage, whatever happens to the folder meanwhile."""

import inspect as introspection
import json
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import quantkit.stages
from quantkit.artifact import Artifact
from quantkit.artifact.manifest import NAME
from quantkit.artifact.snapshot import snapshot
from quantkit.errors import ArtifactError, ArtifactReplaced
from quantkit.pipeline.judging import Terms, judge
from quantkit.recipe.settings import (
    BenchSettings,
    EvaluateSettings,
    FuseSettings,
    GateSettings,
    QuantizeSettings,
    SensitivitySettings,
    TuneSettings,
)
from quantkit.runtime import hold as hold_module
from quantkit.stages.bench import bench
from quantkit.stages.evaluate import evaluate
from quantkit.stages.fuse import fuse
from quantkit.stages.inspect import inspect
from quantkit.stages.lineage import lineage
from quantkit.stages.quantize import quantize
from quantkit.stages.sensitivity import sensitivity
from quantkit.stages.tune import tune

Make = Callable[..., Artifact]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a stage gets."""

    artifact: Artifact
    questions: Path
    out: Path


def _fuse(given: Given) -> Any:
    return fuse(given.artifact, given.out / "fused", settings=FuseSettings()).digest


def _quantize(given: Given) -> Any:
    settings = QuantizeSettings(mode="static", calib=str(given.questions), calib_questions=6)
    return quantize(given.artifact, given.out / "int8", settings=settings).digest


def _evaluate(given: Given) -> Any:
    found = evaluate(given.artifact, settings=EvaluateSettings(data=str(given.questions)))
    return found.artifact, found.predictions_sha256


def _evaluate_in_processes(given: Given) -> Any:
    settings = EvaluateSettings(data=str(given.questions), engine="processes", threads=2, equal_lengths=True)
    found = evaluate(given.artifact, settings=settings)
    return found.artifact, found.predictions_sha256


def _inspect(given: Given) -> Any:
    return inspect(given.artifact).as_json()


def _sensitivity(given: Given) -> Any:
    settings = SensitivitySettings(
        calib=str(given.questions), calib_questions=6, questions=2, budget=36_000.0
    )
    found = sensitivity(given.artifact, settings=settings)
    return found.artifact, found.groups


def _bench(given: Given) -> Any:
    settings = BenchSettings(data=str(given.questions), repeats=3, max_repeats=3, max_spread=1e9)
    return [result.artifact for result in bench([given.artifact], settings=settings).results]


def _tune(given: Given) -> Any:
    settings = TuneSettings(
        data=str(given.questions), budget=1.0, runtimes=("onnxruntime",), engines=("threads",)
    )
    return tune(given.artifact, settings=settings).report.artifact


def _mlperf(given: Given) -> Any:
    pytest.importorskip("mlperf_loadgen")
    from quantkit.mlperf.campaign import mlperf
    from quantkit.mlperf.settings import Entry, MlperfSettings, Reference, Request
    from quantkit.runtime.profile import RuntimeProfile

    request = Request(
        settings=MlperfSettings(
            data=str(given.questions), quick=True, min_duration=1, scenarios=("offline",), modes=("accuracy",)
        ),
        entry=Entry(division="open", submitter="Acme", system="box", description={}, retraining=""),
        reference=Reference(),
        profile=RuntimeProfile.here(instances=1),
        command=("quantkit", "mlperf"),
    )
    report = mlperf(given.artifact, given.out / "submission", request)
    assert report.runs[0].accuracy is not None
    return report.artifact, report.runs[0].accuracy.f1


def _lineage(given: Given) -> Any:
    return lineage(given.artifact, Artifact.open(given.out / "baseline")).as_json()


def _gate(given: Given) -> Any:
    terms = Terms(evaluate=EvaluateSettings(data=str(given.questions)), gate=GateSettings(resamples=100))
    baseline = Artifact.open(given.out / "baseline")
    report = judge(given.artifact, baseline, terms=terms, data_dir=None)
    return report.artifact, report.candidate_f1, report.verdict


RUN: dict[str, Callable[[Given], Any]] = {
    "fuse": _fuse,
    "quantize": _quantize,
    "evaluate": _evaluate,
    "evaluate in processes": _evaluate_in_processes,
    "inspect": _inspect,
    "sensitivity": _sensitivity,
    "bench": _bench,
    "tune": _tune,
    "mlperf": _mlperf,
    "lineage": _lineage,
    "gate": _gate,
}
"""Stage → what it makes of an artifact. Every stage that runs an artifact, or makes another of it, is here."""
RUN_NOTHING = {
    "distill": "it takes checkpoints",
    "export": "it takes a checkpoint",
    "importing": "it takes a folder of another tool",
    "publish": "it copies, and every byte of the copy is hashed",
    "report": "it reads reports",
    "sentence_folder": "it copies the model that it holds, of embeddings alone",
    "search": "it takes a checkpoint, and runs what it has just made of it in a folder of its own",
}
INSIDE = {"gate": "judge evaluates and inspects; the stage itself reads the evidence"}


def test_every_stage_is_here() -> None:
    """A stage that is new is in the table, or says here why it runs nothing; and then names no model."""
    stages = {found.name for found in pkgutil.iter_modules(quantkit.stages.__path__)}
    assert stages - RUN.keys() - RUN_NOTHING.keys() == set()
    for name in (*RUN_NOTHING, *INSIDE):
        place = Path(quantkit.stages.__path__[0]) / name
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        source = "".join(file.read_text(encoding="utf-8") for file in files)
        assert "artifact.model_path" not in source
        assert "open_engine" not in source


def test_only_hold_takes_snapshots() -> None:
    """Whoever runs an artifact holds it: then its external weights are checked too."""
    root = Path(quantkit.__path__[0])
    users = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*.py"))
        if "artifact.snapshot import" in path.read_text(encoding="utf-8")
    ]
    assert users == ["runtime/hold.py"]


@pytest.fixture
def given(
    request: pytest.FixtureRequest, make_encoder_artifact: Make, span_questions: Path, tmp_path: Path
) -> Given:
    """Return what the stage of the test gets: a fused encoder, or for fuse a plain one."""
    (tmp_path / "out").mkdir()
    name = request.node.callspec.params["stage"]
    if name == "fuse":
        artifact = _plain(tmp_path / "plain")
    elif name in ("gate", "lineage"):
        artifact = quantize(
            make_encoder_artifact(), tmp_path / "int8", settings=QuantizeSettings(mode="dynamic")
        )
        make_encoder_artifact("out/baseline")
    else:
        artifact = make_encoder_artifact()
    return Given(artifact=artifact, questions=span_questions, out=tmp_path / "out")


def _plain(folder: Path) -> Artifact:
    """Export a tiny BERT."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from quantkit.recipe.settings import ExportSettings
    from quantkit.stages.export import export

    checkpoint = folder.with_name("checkpoint")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    transformers.BertForQuestionAnswering(config).save_pretrained(checkpoint)
    (checkpoint / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n")
    return export(str(checkpoint), folder, task="squad", settings=ExportSettings())


def overwrite(folder: Path) -> None:
    """Put other bytes into every file of an artifact, in place and with a new manifest, as a pipeline might."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != NAME:
            path.write_bytes(b"other bytes")
    content = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps({**content, "digest": "0" * 64}))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stage", RUN)
def test_what_comes_after_the_hash_changes_nothing(
    given: Given, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every file of the folder overwritten once it is held, a stage makes of it what it makes otherwise."""
    expected = RUN[stage](given)
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "another cache"))
    for made in ("fused", "int8", "submission"):
        if (given.out / made).exists():
            (given.out / made).rename(given.out / f"{made} before")

    @contextmanager
    def overwritten(artifact: Artifact) -> Iterator[Artifact]:
        with snapshot(artifact) as held:
            if held is not artifact and artifact.path == given.artifact.path:
                overwrite(artifact.path)
            yield held

    monkeypatch.setattr(hold_module, "snapshot", overwritten)
    observed = RUN[stage](given)
    assert (given.artifact.path / "model.onnx").read_bytes() == b"other bytes"
    assert observed == expected


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stage", RUN)
def test_other_bytes_than_were_opened_are_refused(given: Given, stage: str) -> None:
    """Files that changed between opening and running are one line, and nothing of them is run."""
    with (given.artifact.path / "model.onnx").open("r+b") as model:
        model.seek(-1, 2)
        last = model.read(1)
        model.seek(-1, 2)
        model.write(bytes([last[0] ^ 1]))
    with pytest.raises(ArtifactError) as caught:
        RUN[stage](given)
    where = given.artifact.path / "model.onnx"
    assert str(caught.value) == f"{where}: was changed or replaced after it was opened; run again"


@pytest.mark.parametrize("stage", ["gate"])
def test_quantizing_into_the_candidate_while_it_is_judged(
    given: Given, stage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The verdict is of the bytes that were there, and neither a report nor a cache takes it for the others'."""
    expected = RUN[stage](given)
    judged = given.artifact
    monkeypatch.setenv("QUANTKIT_CACHE", str(given.out / "another cache"))

    @contextmanager
    def replaced(artifact: Artifact) -> Iterator[Artifact]:
        with snapshot(artifact) as held:
            if held is not artifact and artifact.path == judged.path:
                settings = QuantizeSettings.model_validate(
                    {"mode": "dynamic", "keep_float": [{"pattern": "qa_outputs"}]}
                )
                quantize(Artifact.open(given.out / "baseline"), judged.path, settings=settings, force=True)
            yield held

    monkeypatch.setattr(hold_module, "snapshot", replaced)
    assert RUN[stage](given) == expected
    now = Artifact.open(judged.path)
    assert now.digest != judged.digest
    assert not (now.path / "reports").exists()
    assert "was replaced after it was opened" in caplog.text
    settings = EvaluateSettings(data=str(given.questions))
    monkeypatch.setattr(hold_module, "snapshot", snapshot)
    assert evaluate(now, settings=settings).artifact == now.digest
    with pytest.raises(ArtifactReplaced):
        judged.write_report("gate.json", {})


def test_config_is_read_as_it_was_hashed(make_encoder_artifact: Make) -> None:
    """Also where nothing is held, such as the gate's look at calibration.json."""
    artifact = make_encoder_artifact()
    (artifact.path / "config.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"config.json: was changed or replaced after it was opened"):
        _ = artifact.config


def test_the_table_takes_what_stages_take() -> None:
    """A row is a function of what is given, so that one test runs them all."""
    assert {len(introspection.signature(row).parameters) for row in RUN.values()} == {1}
