"""Pre-trade risk: limits, checks, exposure, and the event-time merge; nothing here does I/O."""

from bellwire.risk.checks import CHECKS, Ask, Evaluation, evaluate
from bellwire.risk.event_time_merge import EventTimeMerge
from bellwire.risk.exposure import Exposure, Holder
from bellwire.risk.limits import RiskLimits
from bellwire.risk.rate import TokenBucket
from bellwire.risk.trading_state import KillSwitches, TradingState

__all__ = [
    "CHECKS",
    "Ask",
    "Evaluation",
    "EventTimeMerge",
    "Exposure",
    "Holder",
    "KillSwitches",
    "RiskLimits",
    "TokenBucket",
    "TradingState",
    "evaluate",
]
