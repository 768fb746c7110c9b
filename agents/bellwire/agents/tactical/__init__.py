"""Tactical policies: from the feature matrix to a decision, without I/O."""

from bellwire.agents.tactical.decision import Action, Decision, Reason, Side, Vote
from bellwire.agents.tactical.rules import RulesInputError, RulesPolicy, RulesSettings

__all__ = [
    "Action",
    "Decision",
    "Reason",
    "RulesInputError",
    "RulesPolicy",
    "RulesSettings",
    "Side",
    "Vote",
]
