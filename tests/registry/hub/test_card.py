"""What is written beside a release for the Hub, and what may be said there."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from quantkit.artifact import Artifact
from quantkit.artifact.hub_files import ATTRIBUTES, CARD, RESULTS
from quantkit.cli.main import main
from quantkit.errors import PublishRefused, RegistryError
from quantkit.pinned import DATASETS
from quantkit.records import Evaluation, GateReport
from quantkit.registry import DirectoryRegistry, verify_artifact
from quantkit.registry.evidence import Evidence
from quantkit.registry.hub.card import write_hub_files
from quantkit.registry.hub.claims import Claims, require_own_claims
from quantkit.registry.reference import Reference

huggingface_hub = pytest.importorskip("huggingface_hub", reason="pip install 'quantkit[hub]'")


@pytest.fixture
def release(tmp_path: Path, passed: Artifact) -> Path:
    """Return a release with the Hub's files."""
    return DirectoryRegistry(tmp_path / "registry", "hub").publish(passed, name="tiny", version="1")


@pytest.fixture
def on_squad(passed: Artifact) -> Evidence:
    """Return evidence as if the questions were SQuAD's."""
    squad = {"dataset": DATASETS["squad"].sha256, "dataset_name": "squad"}
    gate = GateReport.read(passed.report_path("gate.json")).model_copy(update=squad)
    evaluation = Evaluation.read(passed.report_path("evaluation-tiny.json")).model_copy(update=squad)
    return Evidence(gate=gate, evaluation=evaluation, int8_coverage=1.0)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def replaced(path: Path, old: str, new: str) -> None:
    """Replace text that is there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_release_has_the_files_and_verifies(release: Path) -> None:
    """They are reported as what no digest covers; a dataset that is not on the Hub has no .eval_results."""
    found = verify_artifact(release)
    assert (found.problem, found.verified) == (None, True)
    uncovered = {one.name for one in found.files if one.finding == "not covered by the digest"}
    assert uncovered == {ATTRIBUTES, CARD}
    assert Artifact.open(release).digest == found.artifact


def test_the_card_is_read_by_huggingface_hub(release: Path) -> None:
    """Task, dataset with digest, and both scores, as the gate judged them."""
    data = huggingface_hub.ModelCard.load(release / CARD).data
    gate = GateReport.read(release / "reports" / "gate.json")
    assert (data.pipeline_tag, data.model_name) == ("question-answering", "tiny")
    read = [
        (one.task_type, one.dataset_type, one.dataset_args["sha256"], one.metric_type, one.metric_value)
        for one in data.eval_results
    ]
    assert read == [
        ("question-answering", "tiny", gate.dataset, "f1", gate.candidate_f1),
        ("question-answering", "tiny", gate.dataset, "exact_match", 100.0),
    ]


def test_results_on_squad_are_read_by_huggingface_hub(tmp_path: Path, passed: Artifact, on_squad) -> None:
    """A dataset that is pinned to one of the Hub has its id there, and an entry for leaderboards."""
    shutil.copytree(passed.path, tmp_path / "copy")
    write_hub_files(tmp_path / "copy", Reference(name="tiny", version="1"), on_squad)
    written = yaml.safe_load((tmp_path / "copy" / RESULTS).read_text(encoding="utf-8"))
    (entry,) = huggingface_hub.parse_eval_result_entries(written)
    assert (entry.dataset_id, entry.task_id, entry.value, entry.date) == (
        "rajpurkar/squad",
        "plain_text",
        on_squad.evaluation.f1,
        on_squad.evaluation.evaluated,
    )
    assert written == huggingface_hub.eval_result_entries_to_yaml([entry])
    result = huggingface_hub.ModelCard.load(tmp_path / "copy" / CARD).data.eval_results[0]
    assert (result.dataset_type, result.dataset_split) == ("rajpurkar/squad", "validation")
    replaced(tmp_path / "copy" / RESULTS, "value: 100.0", "value: 100.1")
    with pytest.raises(RegistryError, match=r"\.eval_results/quantkit\.yaml: is not what the evidence gives"):
        require_own_claims(tmp_path / "copy", on_squad)


def test_a_classifier_has_accuracy(on_squad: Evidence) -> None:
    """Its metric on the Hub is accuracy, and its task text-classification."""
    update = {"task": "text-classification", "dataset": "1" * 64}
    gate = on_squad.gate.model_copy(update={"dataset": "1" * 64})
    evidence = Evidence(
        gate=gate, evaluation=on_squad.evaluation.model_copy(update=update), int8_coverage=1.0
    )
    claims = Claims.of(evidence)
    assert (claims.task, claims.metrics) == ("text-classification", (("accuracy", "Accuracy", 100.0),))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value: 100.0\n      name: F1", "value: 100.1\n      name: F1"),
        ("type: tiny", "type: rajpurkar/squad"),
        ("name: Exact match", "name: Exact match\n      verified: true"),
        ("- name: tiny\n", "- name: tiny\n  source: {url: x}\n"),
        ("model-index:", '"model\\u002dindex":\n- results: []\n- name: a\n- other:'),
        ("---\nmetrics", "\ufeff\n---\nmodel-index: 3\n---\n---\nmetrics"),
        ("tags:", "tags: &a [*a]\ntags:"),
    ],
)
def test_a_card_that_claims_something_else_is_refused(release: Path, old: str, new: str) -> None:
    """Leaderboards believe the metadata, so verify does not let it say anything but the evidence."""
    replaced(release / CARD, old, new)
    assert "README.md" in (verify_artifact(release).problem or "")


def test_words_may_be_edited(release: Path) -> None:
    """A licence, a line of prose and other metadata change nothing that is claimed."""
    replaced(release / CARD, "tags:", "license: apache-2.0\ntags:")
    with (release / CARD).open("a", encoding="utf-8") as stream:
        stream.write("\nFine-tuned on call centre questions.\n")
    (release / "LICENSE").write_text("Apache-2.0")
    assert verify_artifact(release).problem is None


@pytest.mark.parametrize(
    "name", ["modeling.py", ".eval_results/other.yaml", ".eval_results/x.py", "LICENSE/x", "README.md.py"]
)
def test_nothing_else_is_let_in(release: Path, name: str) -> None:
    """The Hub's files are named one by one; a folder or another name is not listed, as ever."""
    (release / name).parent.mkdir(exist_ok=True)
    (release / name).write_text("x")
    assert "is not listed in the manifest" in (verify_artifact(release).problem or "")


def test_a_link_out_of_the_folder_is_none_of_them(release: Path, tmp_path: Path) -> None:
    """README.md that leads elsewhere is not the Hub's."""
    (tmp_path / "secret").write_text("x")
    (release / "LICENSE").symlink_to(tmp_path / "secret")
    assert verify_artifact(release).problem is not None


def test_what_failed_gets_no_card(tmp_path: Path, make_artifact, pass_gate) -> None:
    """The same admission as ever, and no folder."""
    artifact = make_artifact(tmp_path / "artifact")
    pass_gate(artifact, verdict="fail")
    with pytest.raises(PublishRefused, match="fail"):
        DirectoryRegistry(tmp_path / "registry", "hub").publish(artifact, name="tiny", version="1")
    assert not (tmp_path / "registry" / "tiny" / "1").exists()


def test_on_the_command_line(tmp_path: Path, passed: Artifact) -> None:
    """Done twice it is done already; what was published without cards is not changed; a pull leaves them behind."""
    asked = ("publish", passed.path, tmp_path / "registry", "--name", "tiny")
    first = invoke(*asked, "--version", "1", "--layout", "hub", "--json")
    again = invoke(*asked, "--version", "1", "--layout", "hub", "--json")
    assert [json.loads(one.stdout)["already_published"] for one in (first, again)] == [False, True]
    shown = invoke("verify", tmp_path / "registry" / "tiny" / "1")
    assert "not covered by the digest" in shown.stdout
    assert invoke(*asked, "--version", "2").exit_code == 0
    late = invoke(*asked, "--version", "2", "--layout", "hub")
    assert (late.exit_code, "without the Hub's files" in late.stderr) == (2, True)
    pulled = invoke("pull", tmp_path / "registry" / "tiny" / "1", "-o", tmp_path / "out")
    assert (pulled.exit_code, (tmp_path / "out" / CARD).exists()) == (0, False)
