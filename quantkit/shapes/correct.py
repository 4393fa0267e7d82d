"""Correct: where damages of blocks do not add up, what whole candidates showed corrects them.

The damage of a block is multiplied by a factor of its own, so that predictions fit the candidates that were measured:
least squares of relative errors, each factor drawn to 1 as one candidate would draw it. With few candidates the
factors move little, and together.
"""

from collections.abc import Mapping, Sequence

import numpy as np

_PRIOR = 0.5
_LEAST, _MOST = 0.2, 5.0


def factors(
    damages: Sequence[Mapping[str, float]], measured: Sequence[float], slots: Sequence[str]
) -> dict[str, float]:
    """Return slot → factor.

    Args:
        damages: of every candidate, slot → predicted damage of its option.
        measured: of every candidate, the damage of the whole.
        slots: all slots.
    """
    if not measured:
        return dict.fromkeys(slots, 1.0)
    rows = np.array([[found.get(slot, 0.0) for slot in slots] for found in damages])
    aims = np.array(measured)
    sums = np.maximum(rows.sum(axis=1), 1e-12)
    common = float(np.exp(np.mean(np.log(np.maximum(aims, 1e-12) / sums))))
    shares = rows / np.maximum(aims, 1e-12)[:, None]
    left = 1 - shares.sum(axis=1) * common
    width = len(slots)
    change = np.linalg.solve(shares.T @ shares + _PRIOR / width * np.eye(width), shares.T @ left)
    found = np.clip(common + change, _LEAST * common, _MOST * common)
    return dict(zip(slots, found.tolist(), strict=True))
