"""Learner: the weights of the student that learn, their optimizer, and both as tensors by name."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from quantkit.distillation.blocks import Block, parameters
from quantkit.distillation.encoder import Encoder
from quantkit.distillation.schedule import PhaseName

Moments = Mapping[str, Tensor]


class Learner:
    """The student's weights that learn: in the blocks' phase those of its blocks, then all but frozen embeddings."""

    def __init__(
        self, student: Encoder, blocks: Sequence[Block], *, embeddings: bool, weight_decay: float
    ) -> None:
        """Find the weights.

        Args:
            student: the model.
            blocks: what differs from the teacher's.
            embeddings: those learn too.
            weight_decay: of matrices.
        """
        frozen = f"{student.checkpoint.architecture.encoder}.embeddings."
        self.weights: dict[str, nn.Parameter] = {
            name: weight
            for name, weight in student.model.named_parameters()
            if embeddings or not name.startswith(frozen)
        }
        self.by_block = [
            list(parameters(student.layers[block.layer], block.part).values()) for block in blocks
        ]
        self._decay = weight_decay
        self._optimizer: torch.optim.AdamW | None = None

    def begin(self, phase: PhaseName, *, steps: int = 0, moments: Moments | None = None) -> None:
        """Make the optimizer of a phase.

        Args:
            phase: what learns.
            steps: that the phase has done.
            moments: what `tensors` gave then.
        """
        inside = {id(weight) for group in self._groups(phase) for weight in group}
        chosen = {name: weight for name, weight in self.weights.items() if id(weight) in inside}
        for name, weight in self.weights.items():
            weight.requires_grad_(name in chosen)
        groups = [
            {
                "params": [weight for weight in chosen.values() if weight.ndim > 1],
                "weight_decay": self._decay,
            },
            {"params": [weight for weight in chosen.values() if weight.ndim < 2], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW([group for group in groups if group["params"]], fused=True)
        for name, weight in chosen.items() if steps and moments else ():
            assert moments is not None
            self._optimizer.state[weight] = {
                "step": torch.tensor(float(steps), device=weight.device),
                "exp_avg": moments[f"first.{name}"].to(weight.device),
                "exp_avg_sq": moments[f"second.{name}"].to(weight.device),
            }

    def step(self, phase: PhaseName, rate: float, largest_norm: float) -> bool:
        """Take a step along the gradients, and forget them; return False, and take none, where one is not finite.

        Args:
            phase: as `begin` was told.
            rate: the learning rate.
            largest_norm: of all gradients together; in the blocks' phase of each block's.
        """
        assert self._optimizer is not None, "a phase has begun"
        norms = [nn.utils.clip_grad_norm_(group, largest_norm) for group in self._groups(phase)]
        if not bool(torch.isfinite(torch.stack(norms)).all()):
            return False
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        return True

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, and the optimizer's moments where it has any, by name."""
        tensors: dict[str, Tensor] = {}
        for name, weight in self.weights.items():
            tensors[f"weight.{name}"] = weight
            moments = self._optimizer.state.get(weight) if self._optimizer else None
            if moments:
                tensors |= {f"first.{name}": moments["exp_avg"], f"second.{name}": moments["exp_avg_sq"]}
        return tensors

    def take(self, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
        """Give the weights the values of these tensors."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(tensors[f"{prefix}{name}"])

    def _groups(self, phase: PhaseName) -> list[list[nn.Parameter]]:
        """Return the weights whose gradients are clipped together."""
        return [list(self.weights.values())] if phase == "whole" else self.by_block
