"""The tactical features: fair value gaps, momentum and volume as a 60 x 7 matrix."""

from bellwire.agents.features.batch import feature_rows, observation_windows
from bellwire.agents.features.errors import BarArraysError, InvalidBarError
from bellwire.agents.features.fvg import FvgDetector, FvgState, Zone, ZoneKind
from bellwire.agents.features.matrix import (
    COLUMNS,
    ROWS,
    Column,
    FeatureMatrix,
    FeatureRow,
    Observation,
    ready_after_bars,
)

__all__ = [
    "COLUMNS",
    "ROWS",
    "BarArraysError",
    "Column",
    "FeatureMatrix",
    "FeatureRow",
    "FvgDetector",
    "FvgState",
    "InvalidBarError",
    "Observation",
    "Zone",
    "ZoneKind",
    "feature_rows",
    "observation_windows",
    "ready_after_bars",
]
