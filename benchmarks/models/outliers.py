"""Plants activation outliers in a checkpoint, compensated in the weights that read them.

    python benchmarks/models/outliers.py CHECKPOINT -o outliers --channels 4 --factor 50 --seed 0
    quantkit export outliers -o outliers-fp32

It is for proving that quantization copes with outlier channels, as large models have them: in FP32 the logits are
what they were (but for rounding), while one 8-bit scale per tensor leaves next to nothing for ordinary channels.
Three places of a post-norm encoder (BERT, RoBERTa, ELECTRA, DistilBERT) can be compensated exactly (`--places`, the
first two unless told otherwise):

* `values`: in every layer some value channels times the factor, and the columns that read them in the projection after
  the attention divided by it: attention weights sum channel by channel.
* `head`: some channels of the last LayerNorm times the factor, and the columns that read them in the head (in the
  pooler or dense layer of a classifier) divided by it.
* `offsets`: in every LayerNorm but the last some channels plus or minus the factor times what is wide for an ordinary
  channel (three times the mean |gamma|). The linear layers that read them subtract what that adds, in their biases,
  and so does the bias of the branch that the residual is added to. This is how the outlier channels of trained
  models look: far from zero in every token. Float32 itself rounds more coarsely so far out: logits move by some 1e-4,
  and the export needs `--atol 1e-3`.

Small models bear a factor of 50 in plain static INT8, the quickstart's with hardly a loss, as it was trained against
rounding; 200 breaks them.

The seed chooses among the widest quarter of the channels of each place.

Scaling a LayerNorm inside the encoder cannot be compensated: its output is also the residual, and the next LayerNorm's
mean and variance would change. GELU is not homogeneous, so neither can the inner activations be scaled.
"""

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from quantkit.checkpoint import Checkpoint, read_checkpoint
from quantkit.checkpoint.safetensors import read_header
from quantkit.errors import CheckpointError, QuantkitError, UsageError
from quantkit.files import new_folder

PLACES = ("values", "head", "offsets")
_WIDE = 3.0  # standard deviations of an ordinary channel
_WEIGHTS = "model.safetensors"

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What a family calls the parts of its encoder, below the encoder's own name."""

    layer: str = "encoder.layer"
    value: str = "attention.self.value"
    read: tuple[str, ...] = ("attention.self.query", "attention.self.key", "attention.self.value")
    projection: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    inner: str = "intermediate.dense"
    outer: str = "output.dense"
    norm: str = "output.LayerNorm"


_BERT = Names()
_DISTILBERT = Names(
    layer="transformer.layer",
    value="attention.v_lin",
    read=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    projection="attention.out_lin",
    attention_norm="sa_layer_norm",
    inner="ffn.lin1",
    outer="ffn.lin2",
    norm="output_layer_norm",
)
_FAMILIES: Mapping[str, Names] = {
    "bert": _BERT,
    "roberta": _BERT,
    "electra": _BERT,
    "distilbert": _DISTILBERT,
}
# The first layer of a head, by what it is called: question answering, then classifiers.
_HEADS = ("qa_outputs", "{encoder}.pooler.dense", "pre_classifier", "classifier.dense")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    checkpoint: Path
    output: Path
    channels: int
    factor: float
    seed: int
    places: list[str]
    force: bool


def read_options(arguments: Sequence[str] | None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="a trained checkpoint with model.safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the checkpoint folder to write")
    parser.add_argument("--channels", type=int, default=4, help="channels per place (default: %(default)s)")
    parser.add_argument("--factor", type=float, default=50.0, help="how far out (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default: %(default)s)")
    parser.add_argument(
        "--places", nargs="+", choices=PLACES, default=["values", "head"], help="where (default: values head)"
    )
    parser.add_argument("--force", action="store_true", help="replace the folder")
    return Options(**vars(parser.parse_args(arguments)))


class _Planter:
    """The weights of a checkpoint while outliers are planted in them."""

    def __init__(self, checkpoint: Checkpoint, weights: Weights, options: Options) -> None:
        family = checkpoint.architecture
        self._where = checkpoint.folder
        self._weights, self._encoder = weights, family.encoder
        self._names = _FAMILIES[family.model_type]
        self._layers = checkpoint.shape.layer_count
        self._channels, self._factor = options.channels, options.factor
        self._rng = np.random.default_rng(options.seed)

    def plant(self, places: Sequence[str]) -> None:
        """Plant outliers in places, always in the same order: the choice depends on it."""
        if "values" in places:
            for layer in range(self._layers):
                value, projection = (
                    self._inside(layer, name) for name in (self._names.value, self._names.projection)
                )
                self._scale(value, [projection])
        if "head" in places:
            self._scale(self._inside(self._layers - 1, self._names.norm), [self._head()])
        if "offsets" in places:
            self._shift_norms()

    def _inside(self, layer: int, name: str) -> str:
        return f"{self._encoder}.{self._names.layer}.{layer}.{name}"

    def _head(self) -> str:
        for name in _HEADS:
            full = name.format(encoder=self._encoder)
            if f"{full}.weight" in self._weights:
                return full
        raise CheckpointError(f"{self._where}: has no head that outliers can be compensated in")

    def _shift_norms(self) -> None:
        before = f"{self._encoder}.embeddings.LayerNorm"
        for layer in range(self._layers):
            readers = [self._inside(layer, name) for name in self._names.read]
            self._shift(before, readers, self._inside(layer, self._names.projection))
            middle = self._inside(layer, self._names.attention_norm)
            self._shift(
                middle, [self._inside(layer, self._names.inner)], self._inside(layer, self._names.outer)
            )
            before = self._inside(layer, self._names.norm)

    def _scale(self, source: str, readers: Sequence[str]) -> None:
        """Multiply output channels of a linear layer or LayerNorm, and divide the columns that read them."""
        weight, bias = self._of(source, "weight"), self._of(source, "bias")
        chosen = self._choose(np.linalg.norm(np.column_stack((weight, bias)), axis=1))
        weight[chosen] *= np.float32(self._factor)
        bias[chosen] *= np.float32(self._factor)
        for reader in readers:
            self._of(reader, "weight")[:, chosen] /= np.float32(self._factor)

    def _shift(self, norm: str, readers: Sequence[str], branch: str) -> None:
        """Move channels of a LayerNorm, and subtract what that adds to its readers and to the residual."""
        gamma, beta = self._of(norm, "weight"), self._of(norm, "bias")
        chosen = self._choose(np.abs(gamma))
        signs = self._rng.choice([-1.0, 1.0], len(chosen))
        # What is subtracted later is what float32 really adds here.
        moved = beta[chosen] + signs * self._factor * _WIDE * float(np.abs(gamma).mean())
        added = moved.astype(np.float32).astype(np.float64) - beta[chosen]
        beta[chosen] = moved
        for reader in readers:
            weight, bias = self._of(reader, "weight"), self._of(reader, "bias")
            bias[:] = bias - weight[:, chosen].astype(np.float64) @ added
        residual = self._of(branch, "bias")
        residual[chosen] = residual[chosen] - added

    def _choose(self, widths: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return some of the channels, among the quarter that is widest; `widths` [channels] says how wide each is."""
        widest = np.argsort(-widths, kind="stable")[: len(widths) // 4]
        if self._channels > len(widest):
            raise UsageError(
                f"--channels: is {self._channels}, give at most a quarter of the {len(widths)} channels"
            )
        return np.sort(self._rng.choice(widest, self._channels, replace=False))

    def _of(self, layer: str, part: str) -> NDArray[np.float32]:
        try:
            return self._weights[f"{layer}.{part}"]
        except KeyError:
            raise CheckpointError(
                f"{self._where}: has no weight {layer}.{part}, which compensates an outlier; take another model"
            ) from None


def plant_outliers(options: Options) -> None:
    """Write a checkpoint with outliers.

    Raises:
        CheckpointError: the checkpoint is broken, of another family, or not in one float32 safetensors file.
        UsageError: there are fewer channels than asked for, or nothing to plant.
        OutputError: the folder cannot be written.
    """
    if options.channels < 1 or not np.isfinite(options.factor) or options.factor <= 0:
        raise UsageError("--channels must be 1 or more and --factor above 0")
    path = options.checkpoint / _WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{options.checkpoint}: has no {_WEIGHTS}; give a checkpoint in one such file")
    entries = read_header(path)
    job = "squad" if "qa_outputs.weight" in entries else "text-classification"
    checkpoint = read_checkpoint(str(options.checkpoint), task=job)
    family = checkpoint.architecture.model_type
    if family not in _FAMILIES:
        raise CheckpointError(
            f"{options.checkpoint}: {family} is not known here; give one of {', '.join(_FAMILIES)}"
        )
    if f"{family}.embeddings_project.weight" in entries:
        raise CheckpointError(f"{options.checkpoint}: its embeddings are projected, which is not known here")
    if {entry.dtype for name, entry in entries.items() if "position_ids" not in name} != {"F32"}:
        raise CheckpointError(f"{options.checkpoint}: is not in float32; give a checkpoint that is")
    weights = load_file(path)
    _Planter(checkpoint, weights, options).plant(options.places)
    with new_folder(options.output, force=options.force) as folder:
        for entry in sorted(options.checkpoint.iterdir()):
            if entry.suffix in (".json", ".txt") and entry.is_file():
                shutil.copyfile(entry, folder / entry.name)
        save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant outliers; return the exit code."""
    try:
        plant_outliers(read_options(arguments))
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
