"""What the columns of an observation say: three pure functions and no memory.

The yardstick is the market's own: the mean of |momentum| over the 60 rows. So one set of factors
serves an hourly currency and a daily share alike.
"""

import math
from dataclasses import dataclass
from typing import Final

from bellwire.agents.features import ROWS, Column, FeatureRow, Observation
from bellwire.agents.features.kernels import momentum_pct
from bellwire.agents.tactical.decision import Vote

# Share of each vote in the confidence: direction comes from the first two in equal parts, volume
# only confirms.
_WEIGHT_FVG: Final = 0.4
_WEIGHT_MOMENTUM: Final = 0.4
_WEIGHT_VOLUME: Final = 0.2

_FULL_MOMENTUM: Final = 2.0  # times the threshold: a move this large scores 1
_FULL_VOLUME: Final = 0.8  # column value at three times the mean volume: scores 1
_FAR_ZONE_DISCOUNT: Final = 0.5  # score lost by a zone at the very end of "near"


@dataclass(frozen=True, slots=True)
class Ballot:
    """All votes of one bar and what they were cast on."""

    row: FeatureRow
    typical_momentum: float
    """Mean of |momentum| over the observation, as column value."""
    fvg: Vote
    momentum: Vote
    volume: Vote

    @property
    def votes(self) -> tuple[Vote, Vote, Vote]:
        """The three votes in fixed order."""
        return (self.fvg, self.momentum, self.volume)

    @property
    def confidence(self) -> float:
        """Weighted score of the three, 0 to 1."""
        return (
            _WEIGHT_FVG * self.fvg.score
            + _WEIGHT_MOMENTUM * self.momentum.score
            + _WEIGHT_VOLUME * self.volume.score
        )


def cast_votes(
    observation: Observation, zone_near_moves: float, momentum_factor: float, volume_min: float
) -> Ballot:
    """Let the columns of the newest row vote; factors as in `RulesSettings`."""
    matrix = observation.array()
    before = FeatureRow(*matrix[-2].tolist())
    row = FeatureRow(*matrix[-1].tolist())
    moves = matrix[:, Column.PRICE_MOMENTUM_5].tolist()
    typical = math.fsum(map(abs, moves)) / ROWS  # fsum: the same on every machine
    fvg = _mitigation_vote(before, row)
    if fvg.direction == 0:
        fvg = _zone_vote(row, zone_near_moves * momentum_pct(typical))
    momentum = _momentum_vote(row.price_momentum_5, momentum_factor * typical)
    return Ballot(row, typical, fvg, momentum, _volume_vote(row.volume_ratio, volume_min))


def _mitigation_vote(before: FeatureRow, row: FeatureRow) -> Vote:
    """Vote with the price that has just crossed a whole zone: the support or resistance broke.

    Which side broke is told by the flag that fell; if none or both fell, the vote is silent.
    """
    bullish_gone = before.fvg_bullish_active > row.fvg_bullish_active
    bearish_gone = before.fvg_bearish_active > row.fvg_bearish_active
    direction = 0
    if row.fvg_mitigation > 0.0 and bullish_gone != bearish_gone:
        direction = -1 if bullish_gone else 1
    return Vote("mitigation", direction, row.fvg_mitigation, 1.0, float(direction != 0))


def _zone_vote(row: FeatureRow, near_pct: float) -> Vote:
    """Vote for the bounce: a near bullish zone supports, a near bearish one resists.

    With both kinds active the nearest edge decides by its side of the close.
    """
    level = row.fvg_nearest_level
    direction = int(row.fvg_bullish_active - row.fvg_bearish_active)
    if row.fvg_bullish_active and row.fvg_bearish_active:
        direction = (level < 0.0) - (level > 0.0)
    if abs(level) > near_pct:
        direction = 0
    distance = abs(level) / near_pct if near_pct > 0.0 else 0.0
    score = 1.0 - _FAR_ZONE_DISCOUNT * distance if direction else 0.0
    return Vote("zone", direction, level, near_pct, score)


def _momentum_vote(move: float, threshold: float) -> Vote:
    direction = (move > 0.0) - (move < 0.0) if abs(move) >= threshold else 0
    score = min(1.0, abs(move) / (_FULL_MOMENTUM * threshold)) if direction else 0.0
    return Vote("momentum", direction, move, threshold, score)


def _volume_vote(ratio: float, threshold: float) -> Vote:
    confirms = ratio >= threshold
    score = min(1.0, ratio / _FULL_VOLUME) if confirms else 0.0
    return Vote("volume", int(confirms), ratio, threshold, score)
