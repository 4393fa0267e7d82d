"""Quantized: a candidate's float graph as INT8, on the grid of this CPU, from what calibration saw of the teacher."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from quantkit.graph.layout import lay_out
from quantkit.graph.linear import embedding_tables, linear_layers
from quantkit.quantization.assignment import section_choice
from quantkit.quantization.grids import Grid, QuantizedWeight
from quantkit.quantization.observe import Observations
from quantkit.quantization.treatments import Treated, settled
from quantkit.quantization.write import apply, quantize_tables
from quantkit.recipe.settings import QuantizeSettings
from quantkit.shapes.blocks import Block
from quantkit.shapes.order import Narrowed
from quantkit.shapes.rewrite import cut, narrow, read_by


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What candidates are made of.

    Attributes:
        model: the teacher's fused float graph, its embeddings open to quantization; never changed.
        observations: what calibration saw of it.
        grid: of all weights.
        settings: how layers are quantized.
    """

    model: ir.Model
    observations: Observations
    grid: Grid
    settings: QuantizeSettings = QuantizeSettings()
    _weights: dict[str, QuantizedWeight] = field(default_factory=dict)

    def narrowed(self, parts: Mapping[Block, Narrowed]) -> ir.Model:
        """Return the float graph with these blocks narrowed."""
        model = self.model.clone()
        narrow(model, parts)
        return model

    def quantized(self, parts: Mapping[Block, Narrowed]) -> ir.Model:
        """Return the same as INT8; ranges are those of the teacher's tensors, cut to the columns that are left."""
        model = self.narrowed(parts)
        tensors = {read_by(self.model, block): block.columns(part.units) for block, part in parts.items()}
        seen = cut(self.observations.statistics, tensors)
        self.quantize(model, replace(self.observations, statistics=seen))
        return model

    def quantize(self, model: ir.Model, observations: Observations) -> None:
        """Make a float graph INT8, in place."""
        layers = linear_layers(model.graph)
        choice = section_choice(self.settings, self.grid)
        assignment = settled(layers, {layer.name: choice for layer in layers}, observations.statistics)
        apply(model, assignment, Treated(observations=observations, _weights=self._weights))
        quantize_tables(model, embedding_tables(model.graph))
        lay_out(model, self.settings.chosen_layout)
