"""What a tactical policy decides on one closed bar."""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What to do with the position."""

    ENTER = "ENTER"
    """Open a position on `Decision.side`."""
    EXIT = "EXIT"
    """Close the position with an order on `Decision.side`."""
    HOLD = "HOLD"
    """Nothing; no signal is published."""


class Side(StrEnum):
    """Side of the order that would follow."""

    BUY = "BUY"
    SELL = "SELL"


class Reason(StrEnum):
    """Why a bar ended in its decision."""

    WARMING_UP = "WARMING_UP"
    """HOLD: too few bars for an observation."""
    NO_ZONE = "NO_ZONE"
    """HOLD: no zone near the price and none just broken, or zones on both sides."""
    NO_AGREEMENT = "NO_AGREEMENT"
    """HOLD: momentum is silent or points the other way than the zones."""
    VOLUME_LOW = "VOLUME_LOW"
    """HOLD: zones and momentum agree, volume does not confirm."""
    COOLING_DOWN = "COOLING_DOWN"
    """HOLD: all agree, too soon after the last signal."""
    IN_POSITION = "IN_POSITION"
    """HOLD: a position is open and nothing calls for its end."""
    EXIT_PENDING = "EXIT_PENDING"
    """HOLD: an exit was signalled a moment ago and may still fill."""
    VOTES_AGREE = "VOTES_AGREE"
    """ENTER: zones and momentum point one way and volume confirms."""
    VOTES_AGAINST = "VOTES_AGAINST"
    """EXIT: zones and momentum both point against the position."""
    ZONE_BROKEN = "ZONE_BROKEN"
    """EXIT: price crossed a zone that stood behind the position."""
    HELD_LONG = "HELD_LONG"
    """EXIT: the position was held as long as the settings allow."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What one group of columns says about the bar."""

    name: str
    """`zone`, `mitigation`, `momentum` or `volume`."""
    direction: int
    """1 up, -1 down, 0 silent; volume says 1 when it confirms either way."""
    value: float
    """The column value that was judged."""
    threshold: float
    """What it was judged against."""
    score: float
    """How clearly it speaks, 0 (silent) to 1."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one bar; equal bars give equal decisions."""

    action: Action
    side: Side | None
    """None when holding."""
    strength: float
    """Share of the usual size, 0 to 1; 1 for an exit."""
    confidence: float
    """Weighted score of the votes, 0 to 1; 1 for an exit. A rank, not a calibrated probability."""
    reason: Reason
    votes: tuple[Vote, ...]
    """Zone or mitigation, momentum, volume; empty while warming up."""
    event_time_unix_nano: int
    """Close of the bar decided on, as given by the caller; no clock is read."""
    bar_count: int
    """Number of bars in that observation's history; 0 while warming up."""
