"""The GitHub Action and the GitLab job, by running their steps as their runners do.

What is replaced is the runner (inputs are put where it would put them), `actions/setup-python`, and pip: a
`python` on PATH writes down what pip is asked for and installs nothing. `quantkit` is the one under test, on
real models of a few numbers.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper, parser

from quantkit.artifact import new_artifact

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask)
  => (float[batch, labels] logits)
{
    embedded = Gather (table, input_ids)
    pooled = ReduceSum <keepdims = 0> (embedded, axes)
    logits = MatMul (pooled, weight)
}
"""
VERDICTS = {
    # verdict: candidate, policy, exit code
    "pass": ("good", "mlperf", 0),
    "fail": ("wrong", "mlperf", 3),
    "inconclusive": ("good", "statistical", 4),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a baseline, a good and a wrong candidate, and texts to classify."""
    folder = tmp_path_factory.mktemp("workspace")
    for name, sign, padding in (("baseline", 1.0, 4096), ("good", 1.0, 1), ("wrong", -1.0, 1)):
        save_classifier(folder / name, sign=sign, padding=padding)
    lines = [
        {"id": f"{word}-{count}", "text": " ".join([word] * count), "label": word, "group": f"length {count}"}
        for word in ("good", "bad")
        for count in range(1, 9)
    ]
    (folder / "texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def save_classifier(path: Path, *, sign: float, padding: int) -> None:
    """Save a model that counts good and bad words; `padding` makes its file larger and changes nothing."""
    table = np.zeros((len(WORDS), 2), np.float32)
    table[WORDS.index("good"), 0] = table[WORDS.index("bad"), 1] = 1.0
    weights = {
        "table": table,
        "axes": np.array([1], np.int64),
        "classifier.weight": sign * np.eye(2, dtype=np.float32),
    }
    model = parser.parse_model(GRAPH)
    model.graph.node[-1].name = "classifier"
    model.graph.node[-1].input[1] = "classifier.weight"
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    model.doc_string = "x" * padding
    with new_artifact(path) as draft:
        onnx.save(model, draft.model_path)
        (draft.path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
        config = {"model_type": "bert", "vocab_size": len(WORDS), "id2label": {"0": "good", "1": "bad"}}
        (draft.path / "config.json").write_text(json.dumps(config))
        draft.record(
            task="text-classification", architecture="bert", precision="fp32", stages=(), parent=None
        )


@pytest.fixture
def runner(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a script as the runners do, in `folder`, with variables."""
    commands = tmp_path / "bin"
    commands.mkdir()
    scripts = {
        "quantkit": f'exec "{sys.executable}" -m quantkit "$@"\n',
        "python": f'case "$1 $2" in "-m pip") echo "$@" >> "{tmp_path}/pip.txt"; exit 0;; esac\n'
        f'exec "{sys.executable}" "$@"\n',
    }
    for name, text in scripts.items():
        (commands / name).write_text("#!/bin/sh\n" + text)
        (commands / name).chmod(0o755)

    def run(
        script: str, folder: Path, variables: Mapping[str, str], shell: str = "bash"
    ) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "step.sh"
        file.write_text(script)
        options = ["--noprofile", "--norc", "-eo", "pipefail"] if shell == "bash" else ["-e"]
        environment = {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            **variables,
        }
        return subprocess.run(
            [shell, *options, str(file)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )

    return run


class Action:
    """action.yml, its `run` steps executed with the inputs where GitHub puts them."""

    def __init__(
        self, runner: Callable[..., subprocess.CompletedProcess[str]], folder: Path, home: Path
    ) -> None:
        self.content = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
        self.runner, self.folder, self.home = runner, folder, home

    def step(self, name: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Run the step of this name."""
        step = next(step for step in self.content["runs"]["steps"] if step.get("name") == name)
        defaults = {key: value.get("default", "") for key, value in self.content["inputs"].items()}
        known = {f"inputs.{key}": value for key, value in {**defaults, **inputs}.items()}
        known["github.action_path"] = str(ROOT)
        variables = {
            key: re.sub(r"\$\{\{ (\S+) \}\}", lambda found: known[found[1]], value)
            for key, value in step["env"].items()
        }
        runner = {
            "RUNNER_TEMP": str(self.home),
            "GITHUB_OUTPUT": str(self.home / "outputs"),
            "GITHUB_STEP_SUMMARY": str(self.home / "summary.md"),
        }
        return self.runner(step["run"], self.folder, {**variables, **runner}, step["shell"])

    def outputs(self) -> dict[str, str]:
        """Return what the steps wrote to $GITHUB_OUTPUT."""
        found, lines = {}, iter((self.home / "outputs").read_text().split("\n"))
        for line in lines:
            if line:
                heredoc = re.fullmatch(r"([\w-]+)<<(.+)|([\w-]+)=(.*)", line)
                assert heredoc, line
                name, end, plain, value = heredoc.groups()
                if plain is not None:
                    found[plain] = value
                else:
                    found[name] = "\n".join(iter(lines.__next__, end))
        return found


@pytest.fixture
def action(runner: Callable[..., Any], workspace: Path, tmp_path: Path) -> Action:
    """Return the action, to be run in the workspace."""
    return Action(runner, workspace, tmp_path)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_action_passes_the_verdict_on(action: Action, verdict: str, tmp_path: Path) -> None:
    """The step ends with the gate's exit code and leaves verdict, ratio, report, JUnit and summary."""
    candidate, policy, code = VERDICTS[verdict]
    junit = tmp_path / "gate.xml"

    done = action.step(
        "Gate",
        candidate=candidate,
        baseline="baseline",
        data="texts.jsonl",
        policy=policy,
        arguments="--min-int8-coverage 0 --threads 1",
        junit=str(junit),
    )

    assert done.returncode == code, done.stderr
    outputs = action.outputs()
    assert outputs["verdict"] == verdict
    report = json.loads(Path(outputs["report"]).read_text())
    assert (report["schema"], repr(report["ratio"])) == ("quantkit/gate/2", outputs["ratio"])
    suite = ElementTree.parse(outputs["junit"]).getroot()[0]
    assert suite.get("failures") == ("0" if code != 3 else "2")
    assert f"quantkit gate: {verdict}" in (tmp_path / "summary.md").read_text()
    assert f"quantkit gate: {verdict}" in done.stdout


def test_action_without_a_verdict(action: Action, tmp_path: Path) -> None:
    """A mistake keeps exit code 2 and its one line; the verdict is error, and no report is named."""
    done = action.step("Gate", candidate="good", baseline="nowhere", data="texts.jsonl")

    assert done.returncode == 2
    assert "nowhere: no such artifact folder" in done.stderr
    assert action.outputs() == {"verdict": "error"}
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("::error")]
    assert line.startswith("::error title=quantkit gate::error: nowhere: no such artifact folder")
    assert "nowhere: no such artifact folder" in (tmp_path / "summary.md").read_text()


def test_action_executes_no_input(action: Action, workspace: Path) -> None:
    """Inputs reach the command as they are: nothing in them is run by the shell."""
    done = action.step("Gate", candidate="$(touch pwned); `touch pwned`", baseline='"; touch pwned; "')

    assert done.returncode == 2
    assert not (workspace / "pwned").exists()


def test_an_input_writes_no_outputs(action: Action, tmp_path: Path) -> None:
    """A line feed in an input, with what could be another output behind it, stays within its own output."""
    junit = f"{tmp_path}/gate.xml\nverdict=pass\nratio<<end\n2\nend\nadmin=yes"
    inputs = {"baseline": "baseline", "data": "texts.jsonl", "policy": "mlperf"}

    action.step(
        "Gate", candidate="wrong", junit=junit, arguments="--min-int8-coverage 0 --threads 1", **inputs
    )

    outputs = action.outputs()
    assert set(outputs) in ({"verdict"}, {"verdict", "ratio", "report", "junit"})
    assert outputs["verdict"] in ("fail", "error")
    assert outputs.get("junit", junit) == junit


def test_action_installs_without_extras(action: Action, tmp_path: Path) -> None:
    """The install step asks pip for the action's own checkout, without torch or any other extra."""
    assert action.step("Install quantkit").returncode == 0

    asked = (tmp_path / "pip.txt").read_text().split()
    assert asked[:3] == ["-m", "pip", "install"]
    assert asked[-1] == str(ROOT)
    assert "[" not in "".join(asked)


def test_action_names_what_it_has(action: Action) -> None:
    """Scripts hold no expressions, and every expression names an input or an output that exists."""
    inputs = set(action.content["inputs"])
    for step in action.content["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    named = re.findall(r"inputs\.([a-z0-9-]+)", (ROOT / "action.yml").read_text())
    assert set(named) == inputs
    written = re.findall(r"output (\w+) ", action.content["runs"]["steps"][-1]["run"])
    for output in action.content["outputs"].values():
        assert re.search(r"outputs\.(\w+)", output["value"])[1] in written


@pytest.fixture
def job() -> dict[str, Any]:
    """Return the GitLab job."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "ci" / "gitlab" / "accuracy-gate.yml").read_text())
    return content[".quantkit-gate"]


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_gitlab_job_passes_the_verdict_on(
    job: dict[str, Any], runner: Callable[..., Any], workspace: Path, verdict: str, shell: str
) -> None:
    """The job ends with the gate's exit code, in either shell, and its artifacts are where it says."""
    candidate, policy, code = VERDICTS[verdict]
    variables = {
        **job["variables"],
        "QUANTKIT_INSTALL": "none",
        "QUANTKIT_CANDIDATE": candidate,
        "QUANTKIT_BASELINE": "baseline",
        "QUANTKIT_DATA_NAME": "texts.jsonl",
        "QUANTKIT_POLICY": policy,
        "QUANTKIT_MIN_INT8_COVERAGE": "0",
        "QUANTKIT_ARGUMENTS": "--threads 1",
    }

    done = runner("\n".join([*job["before_script"], *job["script"]]), workspace, variables, shell)

    assert done.returncode == code, done.stderr
    assert all((workspace / path).is_file() for path in job["artifacts"]["paths"])
    assert json.loads((workspace / "quantkit-gate.json").read_text())["verdict"] == verdict
    junit = ElementTree.parse(workspace / job["artifacts"]["reports"]["junit"]).getroot()
    assert junit.get("failures") == ("0" if code != 3 else "2")
    assert job["artifacts"]["when"] == "always"


def test_gitlab_job_installs_what_it_is_told(
    job: dict[str, Any], runner: Callable[..., Any], workspace: Path, tmp_path: Path
) -> None:
    """Pip is asked for QUANTKIT_INSTALL, and without it the job stops and says so."""
    script = "\n".join(job["before_script"])

    told = runner(script, workspace, {**job["variables"], "QUANTKIT_INSTALL": "./quantkit"})
    untold = runner(script, workspace, job["variables"])

    assert told.returncode == 0
    assert (tmp_path / "pip.txt").read_text() == "-m pip install --quiet ./quantkit\n"
    assert untold.returncode != 0
    assert "set it to what pip shall install" in untold.stderr


def test_gitlab_job_ends_with_the_mistake(
    job: dict[str, Any], runner: Callable[..., Any], workspace: Path
) -> None:
    """A wrong variable is exit code 2 with its line, and no report of an earlier job is left behind."""
    variables = {**job["variables"], "QUANTKIT_CANDIDATE": "nowhere", "QUANTKIT_BASELINE": "baseline"}
    (workspace / "quantkit-gate.junit.xml").write_text("<old/>")

    done = runner("\n".join(job["script"]), workspace, variables)

    assert done.returncode == 2
    assert "nowhere: no such artifact folder" in done.stderr
    assert not (workspace / "quantkit-gate.junit.xml").exists()
