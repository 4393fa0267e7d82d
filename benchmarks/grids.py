"""What the weight grids cost in noise: the squared step of each, against int8, over a model's linear layers.

    python benchmarks/grids.py FUSED [--layers]

Rounding is noise of step² / 12, and the step of a column is that of `Grid.scales`: so the ratio of the squared steps,
summed over a layer's columns, is the ratio of the noise that rounding its weights makes. Printed for each grid are the
mean over layers, the least and the largest, as a Markdown table; with --layers a row for each layer. The grids of
int8-pairs are also given for inputs that would stand in the best order: the largest next to the smallest, by the
largest weight that each has. No order is free where others read the tensor, so that is a bound and no option.

Nothing is run, so the numbers are the same on every machine.
"""

import argparse
from pathlib import Path

import numpy as np

from quantkit.artifact import Artifact
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import load_model
from quantkit.quantization.grids import GRIDS, INT8, Grid

PAIRED = "int8-pairs, paired by size"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifact", type=Path, help="FP32 artifact")
    parser.add_argument("--layers", action="store_true", help="a row for each layer, too")
    given = parser.parse_args()
    model = load_model(Artifact.open(given.artifact).model_path)
    found = {layer.name: relative_noise(layer.matrix()) for layer in linear_layers(model.graph)}
    names = [*GRIDS, PAIRED]
    print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    values = np.array([[noise[name] for name in names] for noise in found.values()])
    for label, row in (
        (f"mean of {len(found)} layers", values.mean(axis=0)),
        ("least", values.min(axis=0)),
        ("largest", values.max(axis=0)),
    ):
        print(_row(label, row))
    if given.layers:
        for name, row in zip(found, values, strict=True):
            print(_row(name, row))


def relative_noise(matrix: np.ndarray) -> dict[str, float]:
    """Return grid → noise of a weight [inputs, outputs] on it, over that of int8."""
    found = {name: _noise(grid, matrix) / _noise(INT8, matrix) for name, grid in GRIDS.items()}
    by_size = np.argsort(np.abs(matrix).max(axis=1), kind="stable")
    half = len(by_size) // 2
    # The smallest beside the largest, the next beside the next; an odd one stays alone at the end.
    order = np.empty_like(by_size)
    order[0 : 2 * half : 2], order[1 : 2 * half : 2] = by_size[:half], by_size[::-1][:half]
    order[2 * half :] = by_size[half : len(by_size) - half]
    found[PAIRED] = _noise(GRIDS["int8-pairs"], matrix[order]) / _noise(INT8, matrix)
    return found


def _noise(grid: Grid, matrix: np.ndarray) -> float:
    return float(np.square(grid.scales(matrix), dtype=np.float64).sum())


def _row(label: str, numbers: np.ndarray) -> str:
    return f"| {label} | {' | '.join(f'{number:.2f}' for number in numbers)} |"


if __name__ == "__main__":
    main()
