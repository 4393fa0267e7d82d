"""A model of the u8 x s8 kernels of x86 without VNNI, in whole numbers: numpy in place of vpmaddubsw and vpmaddwd."""

import numpy as np

_BITS = np.iinfo(np.int16)


def saturating_product(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Multiply uint8 [rows, inputs] by int8 [inputs, outputs] as the kernel does; int32 [rows, outputs].

    The products of inputs 2i and 2i + 1 are added in signed 16 bits, which saturate (vpmaddubsw); what that gives is
    added in 32 (vpmaddwd with ones, vpaddd). Zero points play no part in it: x holds the stored values, and the kernel
    takes what zero points amount to away afterwards, in 32 bits. An odd last input is a pair with zero.
    """
    rows, inputs = x.shape
    odd = inputs % 2
    wide = np.pad(x.astype(np.int32), ((0, 0), (0, odd)))
    narrow = np.pad(weights.astype(np.int32), ((0, odd), (0, 0)))
    total = np.zeros((rows, weights.shape[1]), np.int32)
    for first in range(0, inputs + odd, 2):
        pairs = wide[:, first : first + 2] @ narrow[first : first + 2]
        total += np.clip(pairs, _BITS.min, _BITS.max)
    return total


def integer_product(x: np.ndarray, weights: np.ndarray, *, x_zero: int = 0, saturates: bool) -> np.ndarray:
    """Return what MatMulInteger gives for a zero point of x, with a weight around 0; int32 [rows, outputs]."""
    levels = weights.astype(np.int32)
    product = saturating_product(x, weights) if saturates else x.astype(np.int32) @ levels
    taken: np.ndarray = product - np.int32(x_zero) * levels.sum(axis=0, dtype=np.int32)
    return taken
