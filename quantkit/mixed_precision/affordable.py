"""Which rounding a search can pay for."""

import time
from collections.abc import Iterable
from typing import Literal

import numpy as np

from quantkit.mixed_precision.groups import Group
from quantkit.quantization.rounding import ROUNDINGS, Problem

_TRIAL_WIDTH = 512
Rounding = Literal["gptq", "nearest"]


def affordable_rounding(groups: Iterable[Group], *, seconds: float) -> Rounding:
    """Return gptq, or nearest when rounding every layer by GPTQ once would take longer than `seconds`.

    K³/3 + 3 K² N multiply-adds for a weight [K, N] (see `rounding.gptq`), at the rate of a small one.
    """
    width = _TRIAL_WIDTH
    matrix = np.random.default_rng(0).standard_normal((width, width)).astype(np.float32)
    problem = Problem(name="trial", matrix=matrix, moment=np.eye(width))
    started = time.perf_counter()
    ROUNDINGS["gptq"](problem)
    rate = _gptq_operations(width, width) / (time.perf_counter() - started)
    operations = sum(_gptq_operations(group.inputs, width) for group in groups for width in group.outputs)
    return "gptq" if operations / rate <= seconds else "nearest"


def _gptq_operations(inputs: int, outputs: int) -> float:
    return inputs**3 / 3 + 3 * inputs**2 * outputs
