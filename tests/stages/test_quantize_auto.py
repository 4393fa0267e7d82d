"""quantize --mode auto and sensitivity on real models: a tiny text classifier, and the quickstart's reader.

The classifier shows that the search knows nothing of questions and spans. Its command is tested here too, as both need
the same model.
"""

import json
import math
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from quantkit.allocation.journal import Journal
from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.errors import DatasetError, QuantizationError, UsageError
from quantkit.files import cache_folder
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import load_model
from quantkit.mixed_precision import auto, options
from quantkit.mixed_precision.finalists import elected
from quantkit.mixed_precision.group_model import CostRequest
from quantkit.quantization.observe import calibration
from quantkit.recipe.settings import (
    AutoSettings,
    EvaluateSettings,
    ExportSettings,
    FuseSettings,
    GateSettings,
    QuantizeSettings,
    SensitivitySettings,
)
from quantkit.records import SearchReport, Sensitivity
from quantkit.runtime.cpu import cpu_facts
from quantkit.shipped import quickstart_model
from quantkit.stages.quantize import quantize
from quantkit.stages.sensitivity import sensitivity

pytest.importorskip("scipy", reason="the solver is scipy's (pip install quantkit[auto])")
pytest.importorskip("torch", reason="models are exported with torch (pip install quantkit[export])")

REPORTS = {"search.json", "search.yaml", "search.html", "pareto.png"}
# The groups of the classifier: four a layer, pooler and head.
GROUPS = 4 * 2 + 2


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def export_fused(checkpoint: Path, folder: Path, task: str) -> Artifact:
    from quantkit.stages.export import export
    from quantkit.stages.fuse import fuse

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = export(str(checkpoint), folder / "plain", task=task, settings=ExportSettings())
    return fuse(plain, folder / "fused", settings=FuseSettings())


@pytest.fixture(scope="module")
def fp32(tiny_classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return the classifier in FP32, fused; do not write into it."""
    folder = tmp_path_factory.mktemp("fp32")
    return export_fused(tiny_classifier / "checkpoint", folder, "text-classification")


def settings_of(tiny_classifier: Path, **changes: Any) -> QuantizeSettings:
    """Return settings of a search that takes seconds."""
    data = tiny_classifier / "data"
    auto = {
        "target": 0.98,
        "select": str(data / "selection.jsonl"),
        "select_questions": 100,
        "gate_data": str(data / "evaluation.jsonl"),
        "budget": 36_000.0,
        **changes.pop("auto", {}),
    }
    values = {"mode": "auto", "calib": str(data / "calibration.jsonl"), "calib_questions": 60, "auto": auto}
    return QuantizeSettings.model_validate({**values, **changes})


@pytest.fixture(scope="module")
def searched(tiny_classifier: Path, fp32: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return what a search made, once for all tests; do not write into it."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTKIT_CACHE", str(folder / "cache"))
        return quantize(fp32, folder / "int8", settings=settings_of(tiny_classifier))


@pytest.fixture
def costs(searched: Artifact, own_cache: None) -> None:
    """Use the costs that the first search measured, and nothing else of it."""
    shutil.copytree(searched.path.parent / "cache" / "cost", cache_folder() / "cost")


def report_of(artifact: Artifact) -> SearchReport:
    return SearchReport.read(artifact.report_path("search.json"))


def facts_of(artifact: Artifact) -> dict[str, Any]:
    record = artifact.manifest.stage("quantize")
    assert record is not None
    return record.facts


def journal_lines() -> list[str]:
    """Return what is in the one journal of this test's cache."""
    journals = list((Journal("any").path.parent).glob("*.jsonl"))
    assert len(journals) == 1
    return journals[0].read_text().splitlines()


def kind_of(line: str) -> str:
    return next(iter(json.loads(line)["what"]))


def test_reports_are_there(searched: Artifact) -> None:
    """JSON, page, picture and recipe lie in the artifact's reports, and the artifact is whole."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    assert {path.name for path in (searched.path / "reports").iterdir()} >= REPORTS
    assert searched.report_path("pareto.png").read_bytes().startswith(b"\x89PNG")
    page = searched.report_path("search.html").read_text()
    assert "<svg" in page or "data:image/png" in page
    assert searched.digest == Artifact.open(searched.path).digest


def test_report_is_about_what_was_made(searched: Artifact, fp32: Artifact) -> None:
    """The chosen candidate is the artifact: coverage as executed, size, and the forms of its groups."""
    report, facts = report_of(searched), facts_of(searched)
    best = report.candidates[report.chosen]
    assert (fp32.digest, True) == (report.artifact, report.met)
    assert best.int8_coverage == facts["int8_coverage"]
    assert best.size_bytes == searched.model_path.stat().st_size
    assert sum(best.choices.values()) == len(report.groups) == GROUPS
    layers: dict[str, int] = {}
    for group in report.groups:
        layers[group.chosen] = layers.get(group.chosen, 0) + len(group.sensitivity.layers)
    assert facts["schemes"] == layers
    assert {name: facts["search"][name] for name in ("target", "met")} == {"target": 0.98, "met": True}
    assert facts["search"]["asked"]["mode"] == "auto"


def test_candidates_were_measured(searched: Artifact) -> None:
    """Every candidate has marks, a throughput and a coverage; the finalists' throughput decides."""
    report = report_of(searched)
    assert len(report.candidates) >= 3
    for number, candidate in enumerate(report.candidates):
        assert number == candidate.number
        assert candidate.throughput > 0
        low, high = candidate.throughput_spread
        assert low <= candidate.throughput <= high
        # The last layer is computed for one token, which the solver does not count: a candidate can cover less.
        covers = candidate.int8_coverage >= AutoSettings().min_int8_coverage
        assert candidate.passed is (candidate.expected_ratio_low >= report.target and covers)
    passed = [candidate for candidate in report.candidates if candidate.passed]
    limit = (1 + AutoSettings().slack) * min(candidate.predicted_cost_us for candidate in passed)
    affordable = [candidate for candidate in passed if candidate.predicted_cost_us <= limit]
    best = min(affordable, key=lambda candidate: candidate.divergence).number
    together = [candidate for candidate in report.candidates if candidate.finalist]
    assert {best, 0} <= {candidate.number for candidate in together}
    assert elected(together, best, slack=AutoSettings().slack) == report.chosen


def test_damage_is_priced_by_noise(searched: Artifact) -> None:
    """Within a group damages are to each other as the noise is; FP32 does no damage."""
    for group in report_of(searched).groups:
        first = group.options[0]
        assert math.isclose(group.sensitivity.damage, first.damage, rel_tol=1e-12)
        assert group.sensitivity.sqnr_db == first.sqnr_db
        assert {"float": 0.0}.items() <= {choice.label: choice.damage for choice in group.options}.items()
        for choice in group.options[:-1]:
            expected = first.damage * 10 ** ((first.sqnr_db - choice.sqnr_db) / 10)
            assert math.isclose(expected, choice.damage, rel_tol=1e-9), choice.label


def test_recipe_makes_the_same_artifact(searched: Artifact, fp32: Artifact, tmp_path: Path) -> None:
    """What the search wrote is the whole instruction: the same bytes, without a search."""
    recipe = searched.report_path("search.yaml")
    result = invoke("quantize", fp32.path, "-o", tmp_path / "again", "--config", recipe, "--json")
    assert result.exit_code == 0, result.stderr
    again = Artifact.open(tmp_path / "again")
    assert searched.digest == again.digest == json.loads(result.stdout)["artifact"]
    assert "search" not in facts_of(again)
    assert not again.report_path("search.json").exists()


def test_grids_are_mixed(
    tiny_classifier: Path, fp32: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a target that saturates each group has the grid that is cheapest for it, and the recipe repeats the mix.

    Also where nobody said how many questions: static would take more of them by itself.
    """

    def priced(
        requests: list[CostRequest], *, tokens: int, seconds_budget: float
    ) -> dict[CostRequest, float]:
        """Return costs by which the widest inputs are better off with uint8, and static beats everything else."""
        widest = max(request.inputs for request in requests)
        return {
            request: 1.0
            if (request.scheme, request.inputs == widest) == ("static", request.grid == "uint8")
            else 3.0
            for request in requests
        }

    monkeypatch.setattr(options, "measure_costs", priced)
    # These costs are not this machine's, so what its clock says of the finalists must not decide.
    monkeypatch.setattr(auto, "elected", lambda records, best, *, slack: best)
    # Which groups keep outliers float follows the CPU that trained the model; what that leaves is not tested here.
    asked = {"target": 0.5, "slack": 0.0, "select_questions": 40, "min_int8_coverage": 0.5}
    settings = settings_of(tiny_classifier, target_isa="avx2", calib_questions=None, auto=asked)
    made = quantize(fp32, tmp_path / "int8", settings=settings)
    facts, report = facts_of(made), report_of(made)
    assert facts["grids"] == {"int8-pairs": 2 * 5 + 2, "uint8": 2}
    assert (facts["pair_sums"]["kept"], facts["weight_type"]) == (True, "int8-pairs")
    assert sum(group.chosen.endswith("uint8") for group in report.groups) == 2
    recipe = made.report_path("search.yaml")
    result = invoke("quantize", fp32.path, "-o", tmp_path / "again", "--config", recipe)
    assert result.exit_code == 0, result.stderr
    assert Artifact.open(tmp_path / "again").digest == made.digest


def test_a_kept_layer_keeps_its_group(
    tiny_classifier: Path, fp32: Artifact, costs: None, tmp_path: Path
) -> None:
    """What is written is what was measured, also where only one of three layers was to stay float."""
    query = "bert.encoder.layer.0.attention.self.query"
    kept, asked = [{"pattern": query, "because": "so I want it"}], {"min_int8_coverage": 0.8}
    settings = settings_of(tiny_classifier, keep_float=kept, auto=asked)
    made = quantize(fp32, tmp_path / "int8", settings=settings)
    report, facts = report_of(made), facts_of(made)
    best = report.candidates[report.chosen]
    assert len(report.groups) == GROUPS - 1
    assert best.int8_coverage == facts["int8_coverage"]
    assert best.size_bytes == made.model_path.stat().st_size
    assert {query, query.replace("query", "key"), query.replace("query", "value")} <= set(facts["kept_float"])


@pytest.mark.parametrize("stage", ["noise", "candidate", "finalists"])
def test_interrupted_search_goes_on(
    stage: str,
    tiny_classifier: Path,
    fp32: Artifact,
    costs: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C leaves no artifact; the same command then measures only what was not measured, to the same end."""
    measured: list[str] = []
    calibrated: list[str] = []
    stop_after = {"noise": 3, "candidate": 1, "finalists": 0}
    run_observed = calibration._run_observed

    def counted_run(*arguments: Any, **options: Any) -> None:
        calibrated.append("calibrated")
        run_observed(*arguments, **options)

    monkeypatch.setattr(calibration, "_run_observed", counted_run)
    remembered = Journal.remembered

    def counted(journal: Journal, of: Any, measure: Any) -> dict[str, Any]:
        kind = next(iter(of))

        def count() -> dict[str, Any]:
            if kind == stage and measured.count(kind) == stop_after[stage] and not resumed:
                raise KeyboardInterrupt
            measured.append(kind)
            found: dict[str, Any] = measure()
            return found

        return remembered(journal, of, count)

    monkeypatch.setattr(Journal, "remembered", counted)
    resumed = False
    out = tmp_path / "int8"
    settings = settings_of(tiny_classifier, auto={"target": 0.98})
    with pytest.raises(KeyboardInterrupt):
        quantize(fp32, out, settings=settings)
    assert [path.name for path in tmp_path.iterdir() if "int8" in path.name] == []
    before = journal_lines()
    assert stop_after[stage] == [kind_of(line) for line in before].count(stage)
    measured.clear()
    resumed = True
    made = quantize(fp32, out, settings=settings)
    assert calibrated == ["calibrated"]
    after = journal_lines()
    # Nothing that was in the journal was measured again, and everything that was measured is new in it.
    assert before == after[: len(before)]
    assert len(after) - len(before) == len(measured)
    assert len({json.loads(line)["of"] for line in after}) == len(after)
    report = report_of(made)
    kinds = [kind_of(line) for line in after]
    assert (GROUPS, len(report.candidates)) == (kinds.count("alone"), kinds.count("candidate"))
    measured.clear()
    whole = quantize(fp32, out, settings=settings, force=True)
    assert ([], made.digest) == (measured, whole.digest)
    assert report.candidates == report_of(whole).candidates


def test_missed_target(tiny_classifier: Path, fp32: Artifact, costs: None, tmp_path: Path) -> None:
    """Nobody can double the score: exit code 3, the best artifact there is, marked as such everywhere."""
    data = tiny_classifier / "data"
    out = tmp_path / "int8"
    options = "--mode auto --calib-questions 60 --select-questions 100 --target 2 --budget 36000"
    result = invoke(
        *("quantize", fp32.path, "-o", out, *options.split(), "--calib", data / "calibration.jsonl"),
        *("--select", data / "selection.jsonl"),
    )
    assert result.exit_code == 3, result.stderr
    assert "MISSED" in result.stdout
    made = Artifact.open(out)
    report = report_of(made)
    assert (report.met, facts_of(made)["search"]["met"]) == (False, False)
    assert facts_of(made)["search"]["target"] == 2.0
    lows = [candidate.expected_ratio_low for candidate in report.candidates]
    assert max(lows) == lows[report.chosen]
    if made.report_path("search.html").exists():
        assert re.search("missed", made.report_path("search.html").read_text(), re.IGNORECASE)


@pytest.mark.parametrize(
    ("changes", "error", "line"),
    [
        ({"auto": {"budget": 1e-3}}, UsageError, r"^--budget: 0 s of it are left for sensitivity"),
        ({"calib_questions": 1}, DatasetError, r"are too few for the second moments of 128 channels"),
        ({"keep_float": [{"pattern": "*"}]}, QuantizationError, r"nothing to quantize: keep_float spares"),
        (
            {"keep_float": [{"pattern": "intermediate.dense"}]},
            UsageError,
            r"^--min-int8-coverage 0.9: keep_float leaves 6\d\.\d% of the linear layers'",
        ),
        ({"auto": {"gate_data": "SELECT"}}, DatasetError, r"selection questions are the gate's"),
        ({"auto": {"select": "nowhere.jsonl"}}, DatasetError, r"^nowhere.jsonl: there is no such"),
        ({"rounding": "gptq"}, UsageError, r"^rounding: mode auto chooses it for each group"),
        (
            {"schemes": [{"pattern": "classifier", "scheme": "dynamic"}]},
            UsageError,
            r"^schemes: mode auto chooses it for each group",
        ),
        ({"attention": "qk"}, UsageError, r"^--attention qk is no part of the search"),
        ({"calib": None}, UsageError, r"^auto quantization needs calibration data"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_mistakes_leave_nothing(
    changes: dict[str, Any],
    error: type[Exception],
    line: str,
    tiny_classifier: Path,
    fp32: Artifact,
    costs: None,
    tmp_path: Path,
) -> None:
    """Each is one line, and no artifact is begun."""
    select = str(tiny_classifier / "data" / "selection.jsonl")
    if changes.get("auto", {}).get("gate_data") == "SELECT":
        changes = {"auto": {"gate_data": select}}
    out = tmp_path / "out"
    with pytest.raises(error, match=line) as raised:
        quantize(fp32, out / "int8", settings=settings_of(tiny_classifier, **changes))
    assert "\n" not in str(raised.value)
    assert not out.exists() or list(out.iterdir()) == []


def test_budget_that_is_too_small_is_exit_2(
    tiny_classifier: Path, fp32: Artifact, costs: None, tmp_path: Path
) -> None:
    """The command prints one error, behind the warning that so few questions bound little, and writes nothing."""
    data = tiny_classifier / "data"
    arguments = (
        f"--mode auto --calib-questions 60 --select-questions 100 --budget 0.01 -o {tmp_path / 'int8'}"
    )
    result = invoke(
        "quantize",
        fp32.path,
        *arguments.split(),
        *("--calib", data / "calibration.jsonl", "--select", data / "selection.jsonl"),
    )
    warning, error = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    assert "a bound from 100 selection questions" in warning
    assert error.startswith("error: --budget: ")
    assert not (tmp_path / "int8").exists()


def test_other_target_isa_is_not_validated_here(
    tiny_classifier: Path, fp32: Artifact, tmp_path: Path
) -> None:
    """Made for CPUs without VNNI on one with: within the pair limit, validated on nothing, and the gate says so."""
    from quantkit.pipeline.judging import gather, judge_evidence
    from quantkit.stages.evaluate import evaluate
    from quantkit.stages.inspect import inspect

    if not cpu_facts().has_vnni:
        pytest.skip("this CPU has no VNNI, so avx2 is its own target")
    made = quantize(fp32, tmp_path / "int8", settings=settings_of(tiny_classifier, target_isa="avx2"))
    facts, report = facts_of(made), report_of(made)
    assert (facts["weight_type"], facts["validated_on"]) == ("int8-pairs", [])
    assert (report.target_isa, report.validated_on) == ("avx2", ())
    data = EvaluateSettings(data=str(tiny_classifier / "data" / "evaluation.jsonl"))
    judged = judge_evidence(
        gather(
            made,
            fp32,
            evaluations=(evaluate(made, settings=data), evaluate(fp32, settings=data)),
            inspection=inspect(made),
        ),
        settings=GateSettings(min_ratio=0.5, min_int8_coverage=0.0),
    )
    isa = next(check for check in judged.checks if check.name == "isa")
    assert (isa.verdict, isa.required) == ("fail", "evaluated with avx2 kernels")
    assert isa.observed.endswith("which say nothing about avx2; evaluate it on such a CPU and gate it there")


def test_sensitivity_in_graph_order(tiny_classifier: Path, fp32: Artifact, tmp_path: Path) -> None:
    """JSON on stdout is the report: every group once, in graph order, with a damage of its own."""
    pytest.importorskip("matplotlib")
    calib = tiny_classifier / "data" / "calibration.jsonl"
    options = "--calib-questions 60 --questions 20 --json --calib"
    result = invoke("sensitivity", fp32.path, *options.split(), calib, "--plot", tmp_path / "figure.png")
    assert result.exit_code == 0, result.stderr
    report = Sensitivity.model_validate(json.loads(result.stdout))
    assert (fp32.digest, 20) == (report.artifact, report.questions)
    layers = [layer.name for layer in linear_layers(load_model(fp32.model_path).graph)]
    assert layers == [layer for group in report.groups for layer in group.layers]
    assert all(group.damage >= 0 and group.measured_with == () for group in report.groups)
    assert max(group.damage for group in report.groups) > 0
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_sensitivity_goes_on(tiny_classifier: Path, fp32: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run opens no quantized model, and finds the same."""
    from quantkit.mixed_precision.workbench import Workbench

    calib = str(tiny_classifier / "data" / "calibration.jsonl")
    settings = SensitivitySettings(calib=calib, calib_questions=60, questions=20)
    first = sensitivity(fp32, settings=settings)
    monkeypatch.setattr(Workbench, "built", lambda *arguments: pytest.fail("measured again"))
    assert first.groups == sensitivity(fp32, settings=settings).groups
    assert [kind_of(line) for line in journal_lines()].count("alone") == GROUPS


@pytest.mark.parametrize(
    ("changes", "error", "line"),
    [
        ({"budget": 1e-3}, UsageError, r"^--budget: 0 s of it are left for sensitivity"),
        ({"calib_questions": 1}, DatasetError, r"are too few for the second moments of 128 channels"),
        ({"calib": None}, UsageError, r"^--calib: is missing"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_mistakes_of_sensitivity(
    changes: dict[str, Any], error: type[Exception], line: str, tiny_classifier: Path, fp32: Artifact
) -> None:
    """Each is one line."""
    calib = str(tiny_classifier / "data" / "calibration.jsonl")
    settings = SensitivitySettings.model_validate({"calib": calib, "calib_questions": 60, **changes})
    with pytest.raises(error, match=line):
        sensitivity(fp32, settings=settings)


def test_quickstart(tmp_path: Path) -> None:
    """The reader that ships with quantkit: its calibration file has questions enough for the selection too."""
    fp32 = export_fused(quickstart_model(), tmp_path, "squad")
    settings = QuantizeSettings.model_validate(
        {
            "mode": "auto",
            "calib": "callcentre",
            "calib_questions": 8,
            "auto": {"target": 0.98, "select_questions": 24, "gate_data": str(heldout()), "budget": 36_000.0},
        }
    )
    made = quantize(fp32, tmp_path / "int8", settings=settings)
    report, facts = report_of(made), facts_of(made)
    best = report.candidates[report.chosen]
    assert (report.met, report.selection_questions, len(report.groups)) == (True, 24, 17)
    assert best.int8_coverage == facts["int8_coverage"]
    assert best.size_bytes == made.model_path.stat().st_size
    recipe = made.report_path("search.yaml")
    again = invoke("quantize", fp32.path, "-o", tmp_path / "again", "--config", recipe, "--json")
    assert made.digest == json.loads(again.stdout)["artifact"]


def heldout() -> Path:
    from quantkit.quickstart.generate import HELDOUT

    return HELDOUT
