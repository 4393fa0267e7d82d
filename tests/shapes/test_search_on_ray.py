"""A search whose models answer on a Ray cluster of two nodes finds what it finds here."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from shapes.conftest import cost, ratios

from quantkit.artifact import Artifact
from quantkit.cluster.errand import Kit
from quantkit.cluster.errands import Errands
from quantkit.exam.exam import Exam
from quantkit.recipe.search_settings import SearchSettings
from quantkit.runtime.where import Where
from quantkit.shapes import price, trials
from quantkit.shapes.find import Found, find, questions_of

pytest.importorskip("ray", reason="needs the extra [ray]")
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Yield the address of a cluster of two nodes with one core each."""
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    nodes.add_node(**node)
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


@pytest.mark.slow
def test_marks(address: str, teacher: Artifact, settings: SearchSettings) -> None:
    """An exam that is held on the cluster gives the same marks."""
    questions = questions_of("squad", settings, None).damage
    marks = [
        Exam(teacher, questions, confidence=0.9, judged=False, label="exam", where=where).sit_file(
            teacher.model_path
        )
        for where in (Where(), Where(engine="ray", address=address))
    ]
    assert marks[0] == marks[1]


@pytest.mark.slow
def test_the_same_search(
    address: str,
    teacher: Artifact,
    settings: SearchSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Damages, candidates and the chosen one are the same; only where they were measured differs."""
    for module in (price, trials):
        monkeypatch.setattr(
            module, "measure_beside", lambda snippets, **_: [cost(snippet) for snippet in snippets]
        )
    monkeypatch.setattr(trials, "times_the_first", ratios)
    done, sent = Errands.__call__, list[int]()

    def counted(workers: Errands, model: Path, kit: Kit, errands: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        sent.append(len(errands))
        return done(workers, model, kit, errands)

    monkeypatch.setattr(Errands, "__call__", counted)
    found: list[Found] = []
    for engine in ("threads", "ray"):
        # A cache of its own: what was measured here must not answer.
        monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / engine))
        where = {"engine": engine, "ray_address": address if engine == "ray" else None}
        found.append(find(teacher, settings.model_copy(update={"candidates": 2, **where})))
    here, there = found
    # Two candidates of a round and three baselines were healed and judged by workers, and written down here.
    assert sent == [2, 3]
    for one, other in zip(here.search.candidates, there.search.candidates, strict=True):
        parts, others = here.search.parts(one), there.search.parts(other)
        assert [(part.matrix.tobytes(), part.bias.tobytes()) for part in parts.values()] == [
            (part.matrix.tobytes(), part.bias.tobytes()) for part in others.values()
        ]
    assert here.damages == there.damages
    assert here.search.candidates == there.search.candidates
    assert here.chosen == there.chosen
