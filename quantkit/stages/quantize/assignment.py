"""What becomes of each layer, table and product of queries and keys; calibration settles what is open."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import onnx_ir as ir

from quantkit.artifact import Artifact
from quantkit.graph.linear import Table, embedding_tables, linear_layers, matching
from quantkit.quantization.assignment import choices, nothing_to_quantize
from quantkit.quantization.choice import INTEGER, Choice
from quantkit.quantization.grids import GRIDS, UINT8, Grid, signed_grid
from quantkit.quantization.observe import Statistics
from quantkit.quantization.treatments import settled
from quantkit.quantization.write import ScoreInput, score_inputs
from quantkit.recipe.settings import QuantizeSettings
from quantkit.runtime.cpu import TargetIsa
from quantkit.stages.quantize.usable import require_calibration


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """What becomes of each layer and table.

    Attributes:
        layers: layer name → choice.
        tables: those that are quantized.
        scores: queries and keys that are quantized.
        kept: names of what stays float.
    """

    layers: dict[str, Choice]
    tables: tuple[Table, ...]
    scores: tuple[ScoreInput, ...]
    kept: tuple[str, ...]

    @property
    def quantized(self) -> list[str]:
        """Names of the layers that are to be executed in integers."""
        return [name for name, choice in self.layers.items() if choice.scheme != "float"]

    @property
    def grids(self) -> dict[str, int]:
        """Name of a grid → how many layers' weights are on it, of those that are rounded as a whole."""
        rounded = [choice for choice in self.layers.values() if choice.scheme in INTEGER]
        return dict(Counter(choice.grid.name for choice in rounded))

    def treated(self, setting: str) -> dict[str, int | float | str]:
        """Return layer name → value of a treatment, for those that have it; of a settled assignment."""
        return {
            name: treatment.value
            for name, choice in self.layers.items()
            for treatment in choice.treatments
            if treatment.setting == setting
        }

    def settled(self, model: ir.Model, statistics: Mapping[str, Statistics]) -> Self:
        """Return the assignment with what calibration decides."""
        return replace(self, layers=settled(linear_layers(model.graph), self.layers, statistics))


def grid_for(settings: QuantizeSettings, target: TargetIsa) -> Grid:
    """Decide on the weights' grid: where sums of int8 products saturate, auto means int8 within the pair limit."""
    if settings.weight_type in ("uint8", "int8-pairs"):
        return GRIDS[settings.weight_type]
    if settings.reduce_range == "auto":
        return signed_grid(saturates=target.saturates)
    return GRIDS["int7" if settings.reduce_range == "yes" else "int8"]


def other_grids(settings: QuantizeSettings, target: TargetIsa) -> tuple[Grid, ...]:
    """Return the grids that a search may give a group in place of `grid_for`: one finer and slower, if it is open."""
    open_to_it = settings.weight_type == "auto" and settings.reduce_range == "auto"
    return (UINT8,) if target.saturates and open_to_it else ()


def assign(artifact: Artifact, model: ir.Model, settings: QuantizeSettings, grid: Grid) -> Assignment:
    """Resolve the settings for the layers and tables of this graph.

    Raises:
        RecipeError: a pattern matches nothing.
        QuantizationError: nothing is left to quantize, or attention cannot be.
        UsageError: a layer needs calibration data and there is none, or there is some that no layer uses.
    """
    layers, tables = linear_layers(model.graph), embedding_tables(model.graph)
    names = [*(layer.name for layer in layers), *(table.name for table in tables)]
    kept = matching(names, [entry.pattern for entry in settings.keep_float])
    chosen = choices(layers, settings, kept, grid)
    if all(choice.scheme == "float" for choice in chosen.values()):
        raise nothing_to_quantize(artifact.model_path, layers)
    require_calibration(settings, chosen)
    return Assignment(
        layers=chosen,
        tables=tuple(table for table in tables if table.name not in kept),
        scores=tuple(score_inputs(model)) if settings.attention == "qk" else (),
        kept=tuple(name for name in names if name in kept),
    )
