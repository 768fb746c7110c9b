"""Tactical policies: from the feature matrix to a decision or a move of the position, without I/O."""

from bellwire.agents.tactical.actions import (
    EntryAction,
    FvgAction,
    JointAction,
    MomentumAction,
    read_probabilities,
)
from bellwire.agents.tactical.aggregate import (
    AggregationSettings,
    Move,
    MoveReason,
    Rule,
    decide_move,
)
from bellwire.agents.tactical.decision import Action, Decision, Reason, Side, Vote
from bellwire.agents.tactical.rules import RulesInputError, RulesPolicy, RulesSettings
from bellwire.agents.tactical.synergy import InvalidSynergyError, Synergy, SynergyType

__all__ = [
    "Action",
    "AggregationSettings",
    "Decision",
    "EntryAction",
    "FvgAction",
    "InvalidSynergyError",
    "JointAction",
    "MomentumAction",
    "Move",
    "MoveReason",
    "Reason",
    "Rule",
    "RulesInputError",
    "RulesPolicy",
    "RulesSettings",
    "Side",
    "Synergy",
    "SynergyType",
    "Vote",
    "decide_move",
    "read_probabilities",
]
