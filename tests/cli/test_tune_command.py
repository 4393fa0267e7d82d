"""quantkit tune writes the profile into the artifact or where it is told, and shows what it tried."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.recipe.settings import TuneSettings
from quantkit.records.tune import TuneReport, TuneTrial
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.profile import RuntimeProfile, profile_of
from quantkit.stages.tune import Tuned
from quantkit.stages.tune.trials import facts


def invoke(*arguments: object) -> Result:
    """Run a command line."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def made(tmp_path: Path, make_artifact: Callable[..., Artifact]) -> Artifact:
    """Return an artifact."""
    return make_artifact(tmp_path / "made")


@pytest.fixture
def tuned(made: Artifact, monkeypatch: pytest.MonkeyPatch) -> tuple[Tuned, list[TuneSettings]]:
    """Let the stage return a fixed result, and return it with the settings the stage was called with."""
    cpu = cpu_facts().as_json()
    profile = RuntimeProfile(instances=2, token_budget=512, cpu=cpu, measured={"qps": 12.5})
    trials = tuple(
        TuneTrial(
            step="grid",
            profile=facts(profile.model_copy(update={"token_budget": budget})),
            qps=10.0,
            ratio=ratio,
            interval=(ratio, ratio),
            windows=24,
            rounds=1,
        )
        for budget, ratio in ((512, 1.25), (1024, 1.0))
    )
    report = TuneReport(
        artifact=made.digest,
        scenario="offline",
        dataset_name="squad",
        dataset="0" * 64,
        seconds=60.0,
        reference=facts(RuntimeProfile(instances=2)),
        chosen=facts(profile),
        qps=12.5,
        ratio=1.25,
        interval=(1.2, 1.3),
        sure=True,
        settled=False,
        trials=trials,
        cpu=cpu,
    )
    result, calls = Tuned(profile=profile, report=report), list[TuneSettings]()

    def stage(artifact: Artifact, *, settings: TuneSettings, data_dir: Path | None) -> Tuned:
        calls.append(settings)
        return result

    monkeypatch.setattr("quantkit.stages.tune.tune", stage)
    return result, calls


def test_profile_is_kept(made: Artifact, tuned: tuple[Tuned, list[TuneSettings]]) -> None:
    """The profile in the artifact is what other commands read; its digest stays; the table shows grid and choice."""
    result, calls = tuned
    said = invoke("tune", made.path, "--budget", 60, "--engines", "threads", "--latency-bound", 50)
    assert said.exit_code == 0, said.output
    assert TuneSettings(budget=60.0, engines=("threads",), latency_bound=50.0) == calls[0]
    again = Artifact.open(made.path)
    assert made.digest == again.digest
    assert result.profile == profile_of(again)
    assert TuneReport.read(made.report_path("tune.json")) == result.report
    assert made.report_path("tune.png").is_file()
    for part in ("512 tokens", "1.25 ██", "onnxruntime, 2 x 1 threads, 512 tokens", "12.5 windows/s"):
        assert part in said.stdout
    assert "not settled" in said.stderr


def test_elsewhere(made: Artifact, tuned: tuple[Tuned, list[TuneSettings]], tmp_path: Path) -> None:
    """With -o the artifact stays as it is; --json prints the report."""
    said = invoke("tune", made.path, "-o", tmp_path / "out.json", "--json")
    assert said.exit_code == 0, said.output
    assert tuned[0].report.as_json() == json.loads(said.stdout)
    assert tuned[0].profile == RuntimeProfile.read(tmp_path / "out.json")
    assert not made.report_path("runtime.json").exists()


def test_sealed(
    made: Artifact, tuned: tuple[Tuned, list[TuneSettings]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written into is refused before the search, with one line and exit code 2."""
    monkeypatch.setattr("os.access", lambda *_: False)
    said = invoke("tune", made.path)
    assert (said.exit_code, len(tuned[1])) == (2, 0)
    assert "cannot be written; write the profile elsewhere with -o FILE" in said.stderr
