"""Fixtures for everybody: where the real data is, and an environment that never leaves the test folder."""

import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from scripts import load_script

from quantkit.artifact import Artifact, StageRecord, new_artifact
from quantkit.quantization.grids import GRIDS
from quantkit.records import (
    CandidateRecord,
    GateReport,
    GroupRecord,
    GroupSensitivity,
    OptionRecord,
    SearchReport,
    Sensitivity,
)
from quantkit.records.gate import Verdict
from quantkit.runtime.cpu import NATIVE, cpu_facts, resolve_target

pytest_plugins = ["encoder_files", "hub_server", "oci_server"]

ArtifactMaker = Callable[..., Artifact]
GatePasser = Callable[..., GateReport]
SearchMaker = Callable[..., SearchReport]
SensitivityMaker = Callable[..., Sensitivity]

# No deadline and no check of the speed: how long an example takes says something about the machine, not the code.
hypothesis.settings.register_profile(
    "quantkit", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("quantkit")

# Whoever runs the tests in the background may have Ctrl-C ignored, and what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test's cache in its own folder, the user's data folder out of it, and progress quiet."""
    monkeypatch.setenv("QUANTKIT_PROGRESS", "off")
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("QUANTKIT_DATA", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.fixture(scope="session")
def exact_grids() -> frozenset[str]:
    """Return the weight grids whose products this CPU's integer kernels sum exactly.

    Where sums of two u8 x s8 products are kept in 16 bits, a signed grid is exact if the largest sum of two products
    fits; uint8 weights are multiplied by other instructions.
    """
    saturates = resolve_target(NATIVE, cpu_facts()).saturates
    return frozenset(
        name
        for name, grid in GRIDS.items()
        if not saturates
        or grid.kernel == "u8u8"
        or 255 * (grid.pair_limit or 2 * grid.limit) <= np.iinfo(np.int16).max
    )


@pytest.fixture(scope="session")
def exact_grid(exact_grids: frozenset[str]) -> str:
    """Return an exact grid of 255 levels: int8, or else uint8, which rounds every weight to the same level."""
    return "int8" if "int8" in exact_grids else "uint8"


@pytest.fixture(params=list(GRIDS))
def weight_type(request: pytest.FixtureRequest, exact_grids: frozenset[str]) -> str:
    """Return each weight grid in turn, and skip those that are not exact here; `indirect=True` takes some of them."""
    if request.param not in exact_grids:
        pytest.skip(f"sums of {request.param} products saturate on this CPU, which has no VNNI")
    grid: str = request.param
    return grid


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with the real checkpoint and the real datasets, or skip."""
    if not (SHARED / "data" / "squad" / "dev-v1.1.json").is_file():
        pytest.skip("../shared with SQuAD dev and the trained checkpoint is not here")
    return SHARED


@pytest.fixture(scope="session")
def minilm_fp32(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return the real checkpoint, exported and fused once for all tests; do not write into it."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from quantkit.recipe.settings import ExportSettings, FuseSettings
    from quantkit.stages.export import export
    from quantkit.stages.fuse import fuse

    folder = tmp_path_factory.mktemp("minilm")
    checkpoint = str(shared / "models" / "minilm-l6-squad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = export(checkpoint, folder / "plain", task="squad", settings=ExportSettings())
    return fuse(plain, folder / "fused", settings=FuseSettings())


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Yield the address of a cluster of two nodes on Ray with one core each."""
    ray = pytest.importorskip("ray", reason="needs the extra [ray]")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    nodes.add_node(**node)
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="session")
def tiny_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a trained text classifier of 180 kB (`checkpoint/`) and its `data/`; do not write into it.

    It is made in seconds, once for all tests, by benchmarks/models/classifier.py; that says what is in `data/`.
    """
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    script = load_script("benchmarks/models/classifier.py", "tiny_classifier_script")
    folder = tmp_path_factory.mktemp("classifier") / "tiny"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    script.make_classifier(folder, script.TINY)
    torch.set_num_threads(threads)
    return folder


@pytest.fixture
def make_artifact() -> ArtifactMaker:
    """Return what makes an artifact of a few bytes: everything is real but the model."""
    return _make_artifact


@pytest.fixture
def pass_gate() -> GatePasser:
    """Return what puts a passing gate report and its evaluation into an artifact."""
    return _pass_gate


def _make_artifact(
    path: Path, *, model: bytes = b"model", precision: str = "int8", force: bool = False
) -> Artifact:
    with new_artifact(path, force=force) as draft:
        draft.model_path.write_bytes(model)
        (draft.path / "config.json").write_text('{"model_type": "bert", "vocab_size": 8}\n')
        draft.record(
            task="squad",
            architecture="bert",
            precision="int8" if precision == "int8" else "fp32",
            stages=(StageRecord(stage="quantize", key="0" * 64),),
            parent=None,
        )
    return Artifact.open(path)


def _pass_gate(artifact: Artifact, *, verdict: Verdict = "pass", digest: str | None = None) -> GateReport:
    from gate_evidence import evidence_for

    from quantkit.recipe.settings import GateSettings
    from quantkit.stages.gate import gate, write_reports

    right = [1.0] * 500
    lost = [0.0] * 50 + [1.0] * 450
    evidence = evidence_for(artifact, lost if verdict == "fail" else right, right)
    settings = GateSettings(policy="statistical" if verdict == "inconclusive" else "mlperf", resamples=100)
    report = gate(evidence, settings=settings)
    assert report.verdict == verdict
    write_reports(report, evidence)
    if digest is not None:
        report = report.model_copy(update={"artifact": digest})
        artifact.write_report("gate.json", report.as_json())
    return report


@pytest.fixture
def make_sensitivity() -> SensitivityMaker:
    """Return what makes a sensitivity report of an encoder with so many layers, four groups each, and a head."""
    return _make_sensitivity


@pytest.fixture
def make_search() -> SearchMaker:
    """Return what makes a search report of a six-layer encoder whose middle candidate is chosen."""
    return _make_search


def _make_sensitivity(layers: int = 6, *, wide: bool = False) -> Sensitivity:
    """Make a report; `wide` spreads the damage over several powers of ten."""
    names = (
        "attention.self.*",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    )
    groups = []
    for number in range(4 * layers + 1):
        layer, kind = divmod(number, 4)
        size = 0.0002 * (1 + kind * kind) * (1 + abs(layer - layers / 3)) * (0.5 + number * 7 % 5)
        inside = layer < layers
        name = f"bert.encoder.layer.{layer}.{names[kind]}" if inside else "qa_outputs"
        members = [name.replace("*", part) for part in ("query", "key", "value")] if "*" in name else [name]
        groups.append(
            GroupSensitivity(
                group=name,
                layers=tuple(members),
                kind=names[kind] if inside else "qa_outputs",
                macs=442_368,
                damage=size**2 * 1000 if wide else size,
                changed=round(400 * size) / 400,
                sqnr_db=38.0 - number % 9,
            )
        )
    return Sensitivity(
        artifact="a" * 64,
        choice="static gptq smooth 0.90",
        calibration="c" * 64,
        questions=400,
        groups=tuple(groups),
        seconds=41.5,
    )


def _make_search(*, met: bool = True, task: str = "squad", outlier: bool = False) -> SearchReport:
    """Make a report of nine candidates; `outlier` lets the fastest one collapse."""
    groups = tuple(
        GroupRecord(
            group=group.group,
            sensitivity=group,
            options=(
                OptionRecord(label="static", damage=group.damage, sqnr_db=group.sqnr_db, cost_us=310.0),
                OptionRecord(label="blockwise 128", damage=group.damage / 9, sqnr_db=46.0, cost_us=655.0),
                OptionRecord(label="float", damage=0.0, sqnr_db=140.0, cost_us=900.0),
            ),
            chosen="float" if number in (3, 24) else "blockwise 128" if number == 7 else "static",
        )
        for number, group in enumerate(_make_sensitivity().groups)
    )
    candidates = tuple(
        _candidate(number, met=met, collapsed=outlier and number == 1) for number in range(1, 10)
    )
    return SearchReport(
        artifact="a" * 64,
        task=task,
        target=0.999,
        confidence=0.95,
        met=met,
        chosen=5,
        baseline_score=86.412,
        selection="squadshifts-nyt",
        selection_digest="5" * 64,
        selection_questions=1200,
        calibration_digest="c" * 64,
        calibration_questions=100,
        groups=groups,
        candidates=candidates,
        seconds={
            "calibration": 21.0,
            "sensitivity": 148.2,
            "cost": 33.9,
            "search": 1.2,
            "verification": 390.4,
        },
        peak_memory_mb=1430.0,
        target_isa="avx512_vnni",
        validated_on=("avx512_vnni",),
        tools={"quantkit": "0.1.0", "onnxruntime": "1.23.0"},
        cpu={"model": "Some <CPU> & more", "machine": "x86_64", "cores": 2, "instruction_sets": ["avx2"]},
    )


def _candidate(number: int, *, met: bool, collapsed: bool) -> CandidateRecord:
    loss = 0.0034 * 0.74**number + 0.0001 * (number % 3) + (0 if met else 0.001)
    ratio = 0.412 if collapsed else 1 - loss
    speed = 2.06 - 0.03 * number - 0.004 * number**2
    return CandidateRecord(
        number=number,
        origin="fastest options" if number == 1 else f"damage <= {0.004 * 0.7**number:.4f} nats",
        choices={"static": 26 - 2 * number, "blockwise 128": number - 1, "float": number},
        predicted_damage=0.004 * 0.7**number,
        predicted_cost_us=9000.0 + 400 * number,
        divergence=0.0045 * 0.7**number,
        changed=0.03 * 0.8**number,
        score=86.412 * ratio,
        ratio=ratio,
        expected_ratio=ratio - 0.0002,
        expected_ratio_low=ratio - 0.0006,
        throughput=speed,
        throughput_spread=(speed - 0.03, speed + 0.02),
        int8_coverage=1 - 0.03 * number,
        size_bytes=23_500_000 + 900_000 * number,
        passed=ratio >= 0.999,
    )
