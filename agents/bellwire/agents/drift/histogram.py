"""Bins of a column: edges that part a sample into about equal shares, and which bin a value is in."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 10  # the usual number for this index; more would be emptier and noisier

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def quantile_edges(values: Floats, bins: int = BINS) -> tuple[float, ...]:
    """Return ascending edges between bins of about equal shares, at most `bins` - 1 of them.

    Values that are frequent (a column that is mostly 0) take a bin of their own, and there are fewer
    bins then. A column of one value gets three: below it, it, and above it.

    Args:
        values: (n,), finite, n ≥ 1.
        bins: At least 2.
    """
    assert len(values) >= 1, "a distribution of nothing"
    assert np.isfinite(values).all(), "a feature that is not finite"
    lowest, highest = float(values.min()), float(values.max())
    if lowest == highest:
        return (float(np.nextafter(lowest, -np.inf)), lowest)
    shares = np.arange(1, bins) / bins
    # An edge is a value that occurred: interpolated ones would part nothing differently.
    edges = np.quantile(values, shares, method="inverted_cdf")
    # Above the highest there is nothing: where it is that frequent, it is parted from what is below.
    below = float(values[values < highest].max())
    return tuple(map(float, np.unique(np.minimum(edges, below))))


def action_edges(actions: int) -> tuple[float, ...]:
    """Return edges that give each of `actions` indices, from 0, a bin of its own."""
    return tuple(index + 0.5 for index in range(actions - 1))


def bin_of(edges: Sequence[float], value: float) -> int:
    """Return the bin, from 0: bin k holds what is above edge k - 1 and not above edge k."""
    return bisect_left(edges, value)


def bins_of(edges: Sequence[float], values: Floats) -> Indices:
    """Return `bin_of` for many values."""
    return np.searchsorted(np.asarray(edges, np.float64), values, side="left")
