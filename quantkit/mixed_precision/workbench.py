"""Workbench: one FP32 artifact with what calibration saw, from which assignments become models on disk."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from quantkit.artifact import Artifact
from quantkit.artifact.sealed import kept
from quantkit.files import digest_of
from quantkit.graph.layout import lay_out
from quantkit.graph.linear import Linear, embedding_tables, linear_layers, matching
from quantkit.graph.model import has_external_data, load_model, save_model, weight_bytes
from quantkit.mixed_precision.affordable import Rounding, affordable_rounding
from quantkit.mixed_precision.groups import Group, groups
from quantkit.quantization.assignment import nothing_to_quantize
from quantkit.quantization.choice import FLOAT, INTEGER, Choice
from quantkit.quantization.grids import Grid
from quantkit.quantization.observe import Detail, observe_model
from quantkit.quantization.rounding import ROUNDINGS
from quantkit.quantization.treatments import WHOLE_MODEL, Treated, treat
from quantkit.quantization.write import apply, open_embed_layer_norm, quantize_tables
from quantkit.runtime.cpu import cpu_facts
from quantkit.tasks.calibration_set import CalibrationSet

# A model whose weights take a larger share of the budget to round by GPTQ is rounded to nearest.
_ROUNDING_SHARE = 0.2
# Above it weights are kept beside the graph, where onnxruntime maps them; parsing and copying them takes seconds.
_LARGE_BYTES = 256 * 10**6


@dataclass(frozen=True, kw_only=True, slots=True)
class Workbench:
    """What assignments are tried on.

    Attributes:
        artifact: the FP32 artifact.
        model: its graph, with embeddings open to quantization; never changed.
        groups: its groups that may be quantized, in graph order.
        kept: names of layers and tables that stay float whatever is tried.
        layers: every linear layer of the float graph by name, not smoothed.
        treated: what calibration saw, and what is made of it.
        grids: of weights: the first of all, the others of groups that are better off with them.
        per_channel: one weight scale for each output.
        rounding: of every static and dynamic choice.
        layout: of every model that is built, as of what will be published.
    """

    artifact: Artifact
    model: ir.Model
    groups: tuple[Group, ...]
    kept: frozenset[str]
    layers: Mapping[str, Linear]
    treated: Treated
    grids: tuple[Grid, ...]
    per_channel: bool
    rounding: Rounding
    layout: str

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all linear layers per token, those that stay float included."""
        return sum(inputs * outputs for inputs, outputs in (layer.shape for layer in self.layers.values()))

    def members(self, group: Group) -> list[Linear]:
        """Return a group's layers."""
        return [self.layers[name] for name in group.layers]

    def fitted(self, choice: Choice, grid: Grid | None = None) -> Choice:
        """Return a choice with the rounding of this workbench, and its first grid or another."""
        if choice.scheme not in INTEGER:
            return choice
        return replace(
            choice, rounding=self.rounding, grid=grid or self.grids[0], per_channel=self.per_channel
        )

    @contextmanager
    def built(self, chosen: Mapping[str, Choice]) -> Iterator[Path]:
        """Write the model in which each group has its choice; it is gone when the context ends.

        Args:
            chosen: group name → choice; groups that are not named stay float, and then so do embedding tables.
        """
        by_layer = {layer: chosen.get(group.name, FLOAT) for group in self.groups for layer in group.layers}
        model = self.model.clone()
        assignment = {layer.name: by_layer.get(layer.name, FLOAT) for layer in linear_layers(model.graph)}
        apply(model, assignment, self.treated)
        if len(chosen) == len(self.groups):
            tables = embedding_tables(model.graph)
            quantize_tables(model, [table for table in tables if table.name not in self.kept])
        lay_out(model, self.layout)
        with tempfile.TemporaryDirectory(prefix="quantkit-auto-") as folder:
            path = Path(folder) / "model.onnx"
            large = weight_bytes(model) > _LARGE_BYTES
            save_model(model, path, external=large or has_external_data(self.artifact.model_path))
            del model
            yield path


def set_up(
    artifact: Artifact,
    calibration_set: CalibrationSet,
    *,
    keep_float: tuple[str, ...],
    grids: tuple[Grid, ...],
    per_channel: bool,
    budget: float,
    layout: str,
) -> Workbench:
    """Observe the calibration rows once, and return the workbench.

    Args:
        artifact: FP32.
        calibration_set: its rows are observed.
        keep_float: patterns of layers and tables that stay float.
        grids: of weights: the first of all, the others of groups that are better off with them.
        per_channel: one weight scale for each output.
        budget: seconds of the whole work; they decide how weights can be rounded.
        layout: of the models that are built (`quantkit.graph.layout.LAYOUTS`).

    Raises:
        QuantizationError: there is no layer that may be quantized.
        RecipeError: a pattern of `keep_float` matches nothing.
        DatasetError: the set holds no text, or too few tokens for second moments.
    """
    model = load_model(artifact.model_path)
    open_embed_layer_norm(model)
    layers = {layer.name: layer for layer in linear_layers(model.graph)}
    kept = matching([*layers, *(table.name for table in embedding_tables(model.graph))], keep_float)
    free = tuple(group for group in groups(model) if not kept.intersection(group.layers))
    if not free:
        raise nothing_to_quantize(artifact.model_path, layers)
    rounding = _rounding(artifact, free, budget=budget)
    detail = Detail.MOMENTS if rounding == "gptq" else Detail.SAMPLE
    observations = observe_model(artifact, model, calibration_set, detail=detail, keep=True)
    return Workbench(
        artifact=artifact,
        model=model,
        groups=free,
        kept=frozenset(kept),
        layers=layers,
        treated=treat(model, observations, WHOLE_MODEL),
        grids=grids,
        per_channel=per_channel,
        rounding=rounding,
        layout=layout,
    )


def _rounding(artifact: Artifact, free: Sequence[Group], *, budget: float) -> Rounding:
    """Return the rounding that the budget affords; work that goes on rounds as it did, however fast this machine is."""

    def known(content: Any) -> Rounding:
        if content not in ROUNDINGS:
            raise ValueError(content)
        rounding: Rounding = content
        return rounding

    return kept(
        "roundings",
        digest_of([artifact.digest, [group.name for group in free], budget, cpu_facts().as_json()]),
        lambda: affordable_rounding(free, seconds=_ROUNDING_SHARE * budget),
        read=known,
        write=str,
    )
