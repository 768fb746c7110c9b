"""How much the shares of bins move by chance when neighbouring bars resemble each other.

A zone lives up to 51 bars, so 480 bars are far fewer than 480 independent ones, and a threshold for
independent ones would cry wolf. Pearson's statistic over shares of a dependent sample is distributed
as a weighted sum of chi-squares; its first two moments are those of `scale` times a chi-square of
`degrees` degrees of freedom (Rao & Scott 1981, "The analysis of categorical data from complex sample
surveys", JASA 76, their second-order correction after Satterthwaite 1946).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bellwire.agents.drift.histogram import Indices
from bellwire.agents.drift.psi import SHARE_MIN

BLOCK_BARS: Final = 120  # more than twice the 51 bars a zone lives: blocks are nearly independent
BLOCKS_MIN: Final = 8  # fewer tell nothing of a variance


@dataclass(frozen=True, slots=True)
class Noise:
    """The null distribution of Pearson's statistic: `scale` times a chi-square."""

    scale: float
    """At least 1; 1 = as if bars were independent."""
    degrees: float
    """Degrees of freedom, at least 1 and at most bins - 1."""


def noise_of(indices: Indices, bins: int) -> Noise:
    """Return the noise of a sample's shares, from how much they differ between its blocks.

    Steps: cut the sample into blocks; take the covariance of the blocks' counts, a bar; divide by the
    square roots of the shares; with M the result, scale = tr(M²) / tr(M), degrees = tr(M)² / tr(M²).
    For independent bars M is I - √p√pᵀ: scale 1, bins - 1 degrees.

    Args:
        indices: (n,) bins in the order of time.
        bins: How many there are, at least 2.
    """
    block = max(1, min(BLOCK_BARS, len(indices) // BLOCKS_MIN))
    blocks = len(indices) // block
    if blocks < BLOCKS_MIN:
        return Noise(1.0, float(bins - 1))
    kept = indices[len(indices) - blocks * block :].reshape(blocks, block)  # (block, bar)
    counts = (kept[:, :, None] == np.arange(bins)).sum(axis=1)  # (block, bin)
    shares = np.maximum(counts.sum(axis=0) / kept.size, SHARE_MIN)
    covariance = np.cov(counts, rowvar=False) / block  # (bin, bin), a bar
    scaled = covariance / np.sqrt(np.outer(shares, shares))
    total, squares = float(np.trace(scaled)), float((scaled * scaled).sum())
    if total <= 0.0 or squares <= 0.0:
        return Noise(1.0, float(bins - 1))
    degrees = min(max(total * total / squares, 1.0), float(bins - 1))
    return Noise(max(squares / total, 1.0), degrees)
