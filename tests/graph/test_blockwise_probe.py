"""The probe of MatMulNBits: it tells rounded activations from float ones, on the outputs alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from quantkit.errors import ArtifactError
from quantkit.graph import blockwise_probe
from quantkit.graph.blockwise_probe import multiplies_integers

pytestmark = pytest.mark.avx2


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Begin every test without answers from before, and leave none of a pretended kernel behind."""
    multiplies_integers.cache_clear()
    yield
    multiplies_integers.cache_clear()


class Kernel:
    """Stands for a session: dequantizes the probe's weights, and rounds activations to some grid, or to none."""

    def __init__(self, levels: int | None) -> None:
        self.levels, self.runs = levels, 0

    def run(self, names: None, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Multiply as the operator's specification says."""
        self.runs += 1
        x = feeds["x"].astype(np.float64)
        if self.levels:
            step = np.abs(x).max() / self.levels
            x = np.rint(x / step) * step
        weight = np.full((x.shape[1], 16), 127.0)
        weight[0] = 0
        return [(x @ weight).astype(np.float32)]


@pytest.mark.parametrize("block_size", [16, 32, 64, 128, 256])
@pytest.mark.parametrize(("levels", "integer"), [(None, False), (127, True), (255, True), (2**15, False)])
def test_what_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, block_size: int, levels: int | None, integer: bool
) -> None:
    """Activations on 8-bit grids are integers; float ones, and those of 16 bits, are not."""
    monkeypatch.setattr(blockwise_probe, "open_model", lambda path, name: Kernel(levels))
    assert multiplies_integers(block_size, zero_points=False) == integer


def test_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block size is run once in a process."""
    kernel = Kernel(None)
    monkeypatch.setattr(blockwise_probe, "open_model", lambda path, name: kernel)
    for _ in range(3):
        multiplies_integers(32, zero_points=False)
    assert kernel.runs == 1


def test_refused_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block size that onnxruntime does not load is no integer kernel."""

    def refuse(path: Path, name: str) -> None:
        raise ArtifactError("no such block")

    monkeypatch.setattr(blockwise_probe, "open_model", refuse)
    assert not multiplies_integers(24, zero_points=False)


@pytest.mark.parametrize("zero_points", [False, True])
def test_on_this_machine(zero_points: bool) -> None:
    """The probe's model loads and runs for every block size, and says the same twice."""
    found = [multiplies_integers(size, zero_points=zero_points) for size in (16, 32, 64, 128, 256)]
    multiplies_integers.cache_clear()
    assert found == [multiplies_integers(size, zero_points=zero_points) for size in (16, 32, 64, 128, 256)]


def test_accuracy_level_0_is_float(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same block run without accuracy_level 4 is found to be float, by the real onnxruntime."""
    build = blockwise_probe._one_block

    def in_float(block_size: int, *, zero_points: bool) -> object:
        model = build(block_size, zero_points=zero_points)
        next(entry for entry in model.graph.node[0].attribute if entry.name == "accuracy_level").i = 0
        return model

    monkeypatch.setattr(blockwise_probe, "_one_block", in_float)
    assert not any(multiplies_integers(size, zero_points=False) for size in (16, 32, 64, 128, 256))
