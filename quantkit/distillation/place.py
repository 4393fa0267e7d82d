"""Place: the device that a training runs on, and what its products are of.

Plain torch does both in a few lines; `accelerate` would add a dependency for what is one device here.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch

from quantkit.errors import UsageError

# CPUs that multiply bfloat16: a Zen 5 core 450 GFLOPS where it makes 100 of float32. Others convert, and are slower.
_FAST = frozenset({"avx512_bf16", "amx_bf16"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a training runs.

    Attributes:
        device: the CPU, or one GPU.
        dtype: of products.
    """

    device: torch.device
    dtype: torch.dtype


def choose_place(
    device: Literal["auto", "cpu", "cuda"],
    precision: Literal["auto", "float32", "bfloat16"],
    instruction_sets: Collection[str],
) -> Place:
    """Return where a training runs.

    Args:
        device: as it was asked for.
        precision: as it was asked for.
        instruction_sets: those of the CPU.

    Raises:
        UsageError: there is no GPU where one was asked for.
    """
    gpu = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not gpu:
        raise UsageError("--device cuda: torch finds no GPU here; give --device cpu, or install torch for it")
    fast = torch.cuda.is_bf16_supported() if gpu else not _FAST.isdisjoint(instruction_sets)
    rounded = precision == "bfloat16" or (precision == "auto" and fast)
    return Place(
        device=torch.device("cuda" if gpu else "cpu"), dtype=torch.bfloat16 if rounded else torch.float32
    )
