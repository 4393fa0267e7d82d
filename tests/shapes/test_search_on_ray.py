"""A search on a Ray cluster of two nodes, which makes candidates and answers questions, finds what it finds here."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from letters import MakeCheckpoint
from shapes.conftest import cost, ratios

from quantkit.artifact import Artifact
from quantkit.checkpoint import read_checkpoint
from quantkit.cluster.errand import Kit
from quantkit.cluster.errands import Errands
from quantkit.exam.exam import Exam, Sitting
from quantkit.recipe.search_settings import SearchSettings
from quantkit.records import ShapeSearch
from quantkit.runtime.where import Where
from quantkit.shapes import price, trials
from quantkit.shapes.questions import questions_of
from quantkit.stages import search as stage

pytest.importorskip("ray", reason="needs the extra [ray]")
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore")]


@pytest.mark.slow
def test_marks(address: str, teacher: Artifact, settings: SearchSettings) -> None:
    """An exam that is held on the cluster gives the same marks."""
    questions = questions_of("squad", settings, None).damage
    marks = [
        Exam(teacher, questions, Sitting(label="exam", judged=False, where=where), confidence=0.9).sit_file(
            teacher.model_path
        )
        for where in (Where(), Where(engine="ray", address=address))
    ]
    assert marks[0] == marks[1]


@pytest.mark.slow
def test_the_same_search(
    address: str,
    make_checkpoint: MakeCheckpoint,
    teacher: Artifact,
    settings: SearchSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Checkpoints are the same to the byte, and the report but for seconds; also of a search that was interrupted."""
    for module in (price, trials):
        monkeypatch.setattr(
            module, "measure_beside", lambda snippets, **_: [cost(snippet) for snippet in snippets]
        )
    monkeypatch.setattr(trials, "times_the_first", ratios)
    # What is checked exports two checkpoints, and is another test's; pages are drawn elsewhere too.
    for name in ("_checked", "write_shape_files"):
        monkeypatch.setattr(stage, name, lambda *_: None)
    done, sent = Errands.__call__, list[int]()

    def killed_once(
        workers: Errands, model: Path, kit: Kit, errands: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        sent.append(len(errands))
        with closing(done(workers, model, kit, errands)) as answers:
            for answer in answers:
                yield answer
                if len(sent) == 1:
                    raise KeyboardInterrupt

    monkeypatch.setattr(Errands, "__call__", killed_once)
    checkpoint = read_checkpoint(str(make_checkpoint()), task="squad")

    def searched(engine: str) -> ShapeSearch:
        # A cache of its own: what was measured here must not answer.
        monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / f"{engine}-cache"))
        where = {"engine": engine, "ray_address": address if engine == "ray" else None}
        return stage.search(
            checkpoint,
            stage.Output(path=tmp_path / engine),
            settings=settings.model_copy(update={"candidates": 2, **where}),
            export=lambda *_: teacher,
            work=tmp_path,
        )

    here = searched("threads")
    # No candidate is made in this process any more.
    monkeypatch.setattr(trials, "heal", lambda *_: pytest.fail("healed here"))
    with pytest.raises(KeyboardInterrupt):
        searched("ray")
    there = searched("ray")
    # Two candidates of a round, of which one was done before the interrupt, and three baselines.
    assert sent == [2, 1, 3]
    assert told(there) == told(here)
    assert files(tmp_path / "ray") == files(tmp_path / "threads")


def told(report: ShapeSearch) -> dict[str, Any]:
    """Return what a report says but for what took how long."""
    return {
        key: value
        for key, value in report.as_json().items()
        if key not in ("seconds", "trials", "on_workers", "created_at")
    }


def files(folder: Path) -> dict[str, bytes]:
    """Return the checkpoints of a search, file by file."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "chosen/model.safetensors" in found
    return found
