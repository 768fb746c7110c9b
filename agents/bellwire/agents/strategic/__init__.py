"""The strategic system: slower features than the tactical one, three small networks, one stance.

A definition to train and to measure, not a claim: nothing trades on it, and its card finds no edge.
"""

from bellwire.agents.strategic.features import (
    CLOSES,
    FEATURES,
    StrategicColumn,
    StrategicFeatures,
    strategic_rows,
)
from bellwire.agents.strategic.networks import (
    StrategicOutputs,
    StrategicWeights,
    initial_strategic_weights,
    strategic_forward,
)
from bellwire.agents.strategic.stance import RegimeAction, Stance, strategic_stance

__all__ = [
    "CLOSES",
    "FEATURES",
    "RegimeAction",
    "Stance",
    "StrategicColumn",
    "StrategicFeatures",
    "StrategicOutputs",
    "StrategicWeights",
    "initial_strategic_weights",
    "strategic_forward",
    "strategic_rows",
    "strategic_stance",
]
