"""Weights in blocks of 4-bit numbers, as ONNX Runtime's MatMulNBits reads them; numpy and no I/O.

Rounding to nearest in blocks along the input: each block has one float scale, and its number of the largest magnitude
becomes exactly -8, so that all 16 steps are used; 8 is the implied zero point. The layout is that of the operator's
documentation (com.microsoft.MatMulNBits): (outputs, blocks, bytes), the earlier number in the lower half of a byte.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BITS: Final = 4
ZERO: Final = 8
LARGEST: Final = 15


@dataclass(frozen=True, slots=True, eq=False)
class Nibbles:
    """A matrix (inputs, outputs) in 4 bits a weight."""

    packed: NDArray[np.uint8]
    """(outputs, blocks, block / 2)"""
    scales: NDArray[np.float32]
    """(outputs, blocks)"""
    inputs: int
    """The last block may reach beyond; what is there is 0."""

    def unpacked(self) -> NDArray[np.float32]:
        """Return the matrix (inputs, outputs) that products are computed with."""
        halves = np.stack([self.packed & LARGEST, self.packed >> BITS], axis=-1)
        numbers = halves.reshape(*self.scales.shape, -1).astype(np.float32) - ZERO
        weights = (numbers * self.scales[..., np.newaxis]).reshape(len(self.scales), -1)
        return np.ascontiguousarray(weights[:, : self.inputs].T)  # (inputs, outputs)


def pack(weights: NDArray[np.float32], block: int) -> Nibbles:
    """Return finite weights (inputs, outputs) in 4 bits.

    Args:
        weights: float32.
        block: Weights that share a scale: 16, 32, 64, 128 or 256.
    """
    inputs, outputs = weights.shape
    blocks = -(-inputs // block)
    padded = np.zeros((outputs, blocks * block), np.float32)
    padded[:, :inputs] = weights.T
    parts = padded.reshape(outputs, blocks, block)
    largest = np.take_along_axis(parts, np.abs(parts).argmax(axis=2, keepdims=True), axis=2)
    scales = largest / -ZERO  # (outputs, blocks, 1)
    divisors = np.where(scales == 0.0, 1.0, scales)  # a block of zeros stays one
    numbers = np.clip(np.rint(parts / divisors) + ZERO, 0, LARGEST).astype(np.uint8)
    packed = numbers[..., 0::2] | (numbers[..., 1::2] << BITS)
    return Nibbles(packed, np.ascontiguousarray(scales[..., 0]), inputs)
