"""The distributions that a model was trained on, one a column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from bellwire.agents.drift.errors import DriftReferenceError
from bellwire.agents.drift.histogram import (
    Floats,
    Indices,
    action_edges,
    bins_of,
    quantile_edges,
)
from bellwire.agents.drift.noise import noise_of
from bellwire.agents.features import Column
from bellwire.agents.tactical.networks.weights import ACTIONS, AGENTS

BINS_MAX: Final = 64  # of a column that is read: far more than are written
FEATURES: Final = tuple(column.name.lower() for column in Column)
"""Columns of the newest row, as the monitor takes them."""
ACTION_COLUMNS: Final = tuple(f"action_{agent}" for agent in AGENTS)
"""Columns of what the model says, as the monitor takes them."""
COLUMNS: Final = (*FEATURES, *ACTION_COLUMNS)


@dataclass(frozen=True, slots=True)
class ColumnReference:
    """One column's histogram."""

    name: str
    edges: tuple[float, ...]
    """Ascending; bin k holds what is above edge k - 1 and not above edge k."""
    counts: tuple[int, ...]
    """Bars in each bin; one more than edges."""
    noise_scale: float
    """Of `noise.Noise`: how much more the shares vary than those of independent bars, ≥ 1."""
    noise_degrees: float
    """Degrees of freedom, 1 to bins - 1."""

    def __post_init__(self) -> None:
        """Check that it can be compared with.

        Raises:
            DriftReferenceError: naming what cannot be.
        """
        bins = len(self.edges) + 1
        ascending = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
        complaints = (
            (not 2 <= bins <= BINS_MAX, f"{bins} bins", f"2 to {BINS_MAX}"),
            (not ascending or not np.isfinite(self.edges).all(), "edges", "finite, ascending ones"),
            (len(self.counts) != bins, f"{len(self.counts)} counts", f"{bins}, one a bin"),
            (min(self.counts, default=-1) < 0, "a negative count", "0 or more"),
            (sum(self.counts) < 1, "no bars", "at least one"),
            (not 1.0 <= self.noise_scale < 1e6, f"noise_scale {self.noise_scale}", "1 to 1e6"),
            (
                not 1.0 <= self.noise_degrees <= bins - 1,
                f"noise_degrees {self.noise_degrees}",
                f"1 to {bins - 1}",
            ),
        )
        for wrong, found, expected in complaints:
            if wrong:
                raise DriftReferenceError(self.name, found, expected)

    @property
    def bars(self) -> int:
        """Bars it was made of."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a model saw and said on the training bars of one symbol."""

    symbol: str
    interval: str
    """Length of the bars, like `1h`."""
    data_sha256: str
    """Of the bars, as on the card."""
    columns: tuple[ColumnReference, ...]
    """In the order of `COLUMNS`."""

    def __post_init__(self) -> None:
        """Check that all columns are there.

        Raises:
            DriftReferenceError: they are not, or in another order.
        """
        found = tuple(column.name for column in self.columns)
        if found != COLUMNS:
            raise DriftReferenceError(self.symbol, ", ".join(found), ", ".join(COLUMNS))


def reference_of(
    symbol: str, interval: str, data_sha256: str, *, rows: Floats, actions: Indices
) -> Reference:
    """Return the reference of bars in the order of time.

    Args:
        symbol: Of the bars.
        interval: Their length.
        data_sha256: Of the data they come from.
        rows: (n, 7) newest row of each bar decided on.
        actions: (n, 3) index of what fvg, momentum and entry said on it.
    """
    assert len(rows) == len(actions), "one row and one joint action a bar"
    seen = {name: np.asarray(rows[:, index], np.float64) for index, name in enumerate(FEATURES)}
    made = [_column(name, quantile_edges(values), values) for name, values in seen.items()]
    edges = action_edges(ACTIONS)
    said: Mapping[str, Floats] = {
        name: actions[:, index].astype(np.float64) for index, name in enumerate(ACTION_COLUMNS)
    }
    made += [_column(name, edges, values) for name, values in said.items()]
    return Reference(symbol, interval, data_sha256, tuple(made))


def _column(name: str, edges: tuple[float, ...], values: Floats) -> ColumnReference:
    bins = len(edges) + 1
    indices = bins_of(edges, values)
    counts = np.bincount(indices, minlength=bins)
    noise = noise_of(indices, bins)
    scale, degrees = round(noise.scale, 4), round(noise.degrees, 4)
    return ColumnReference(name, edges, tuple(map(int, counts)), scale, degrees)
