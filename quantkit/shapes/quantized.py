"""Quantized: a candidate's float graph as INT8, but for blocks that stay float, on the grid of this CPU."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from quantkit.graph.layout import lay_out
from quantkit.graph.linear import embedding_tables, linear_layers
from quantkit.quantization.assignment import section_choice
from quantkit.quantization.choice import FLOAT
from quantkit.quantization.grids import Grid, QuantizedWeight
from quantkit.quantization.observe import Observations
from quantkit.quantization.treatments import WHOLE_MODEL, Treated, settled, treat
from quantkit.quantization.treatments.reading import Reading
from quantkit.quantization.write import apply, quantize_tables
from quantkit.recipe.quantize_settings import QuantizeSettings
from quantkit.runtime.cpu import NATIVE, cpu_facts, resolve_target
from quantkit.shapes.blocks import Block
from quantkit.shapes.order import Narrowed
from quantkit.shapes.rest import begin_at
from quantkit.shapes.rewrite import cut, narrow, read_by

_QUICK = QuantizeSettings(plain=True, smooth_quant="auto")
"""Of the hundreds of models that damage is measured with: rounded to nearest."""
_GOOD = QuantizeSettings()
"""Of candidates: what `quantkit quantize` does where nobody says otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What candidates are made of.

    Attributes:
        model: the teacher's fused float graph, its embeddings open to quantization; never changed.
        observations: what calibration saw of it, with moments.
        grid: of all weights.
    """

    model: ir.Model
    observations: Observations
    grid: Grid
    _weights: dict[str, QuantizedWeight] = field(default_factory=dict)
    _readings: dict[tuple[object, ...], Reading] = field(default_factory=dict)

    def narrowed(self, parts: Mapping[Block, Narrowed]) -> ir.Model:
        """Return the float graph with these blocks narrowed."""
        model = self.model.clone()
        narrow(model, parts)
        return model

    def quick(
        self, parts: Mapping[Block, Narrowed], *, since: str | None = None, floats: Collection[Block] = ()
    ) -> ir.Model:
        """Return the same as INT8, rounded to nearest; ranges are the teacher's, cut to the columns that are left.

        Args:
            parts: block → what is left of it.
            since: a residual stream that the graph begins at, where what follows needs nothing else.
            floats: blocks that stay float.
        """
        model = self.narrowed(parts)
        if since is not None:
            begin_at(model, since, next(iter(parts)).hidden)
        tensors = {read_by(self.model, block): block.columns(part.units) for block, part in parts.items()}
        seen = cut(self.observations.statistics, tensors)
        changed = {*tensors, *(name for block in parts for name in block.readers)}
        known = {key: reading for key, reading in self._readings.items() if not changed.intersection(key)}
        treated = Treated(
            observations=replace(self.observations, statistics=seen),
            # What is rounded for one candidate is not kept: there are hundreds.
            _weights=dict(self._weights) if parts else self._weights,
            _readings=known,
        )
        self._write(model, treated, _QUICK, floats)
        if not parts:
            self._readings.update(known)
        return model

    def good(self, model: ir.Model, observations: Observations, *, floats: Collection[Block] = ()) -> None:
        """Make a float graph INT8 in place, as `quantkit quantize` does by default.

        Args:
            model: the graph.
            observations: of it, with moments.
            floats: blocks that stay float, as `keep_float` has it.
        """
        kinds = [kind for kind in WHOLE_MODEL if getattr(_GOOD, kind.setting)]
        self._write(model, treat(model, observations, kinds), _GOOD, floats)

    def _write(
        self, model: ir.Model, treated: Treated, settings: QuantizeSettings, floats: Collection[Block]
    ) -> None:
        layers = linear_layers(model.graph)
        choice = section_choice(settings, self.grid)
        kept = {name for block in floats for name in (*block.readers, block.projection)}
        asked = {layer.name: FLOAT if layer.name in kept else choice for layer in layers}
        assignment = settled(layers, asked, treated.statistics)
        apply(model, assignment, treated)
        quantize_tables(model, embedding_tables(model.graph))
        lay_out(model, self.layout)

    @property
    def layout(self) -> str:
        """The layout of every model that is built."""
        return _GOOD.layout_for(resolve_target(NATIVE, cpu_facts()).name)
