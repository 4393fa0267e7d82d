"""The line, from checkpoint to INT8, of a tiny random model of each family: made once for each task."""

from collections.abc import Callable, Iterator

import pytest
from family_checkpoints import write_checkpoint

from quantkit.artifact import Artifact
from quantkit.recipe.settings import ExportSettings, FuseSettings
from quantkit.stages.export import export
from quantkit.stages.fuse import fuse

Line = Callable[[str, str], tuple[Artifact, Artifact]]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Run torch on one thread: models this small only wait for a second one."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Return a function that returns the exported and the fused artifact of a family for a task."""
    made: dict[tuple[str, str], tuple[Artifact, Artifact]] = {}

    def make(family: str, task: str) -> tuple[Artifact, Artifact]:
        if (family, task) not in made:
            folder = tmp_path_factory.mktemp(f"{family}-{task}")
            checkpoint = write_checkpoint(folder / "checkpoint", family, task)
            exported = export(str(checkpoint), folder / "exported", task=task, settings=ExportSettings())
            made[family, task] = exported, fuse(exported, folder / "fused", settings=FuseSettings())
        return made[family, task]

    return make
