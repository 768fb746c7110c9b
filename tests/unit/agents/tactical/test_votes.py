"""What single columns say, on observations made by hand."""

import math

import numpy as np
import pytest

from bellwire.agents.features import Column, Observation
from bellwire.agents.tactical.votes import Ballot, cast_votes


def ballot(before: dict[Column, float], now: dict[Column, float], typical: float = 0.1) -> Ballot:
    """Vote on 60 rows whose momentum averages `typical`, the last two as given."""
    matrix = np.zeros((60, 7), "<f4")
    moves = matrix[:, Column.PRICE_MOMENTUM_5]
    moves[:] = typical
    for row, values in ((-2, before), (-1, now)):
        for column, value in values.items():
            matrix[row, column] = value
    # Row 0 makes up for the momentum given for the last row.
    moves[0] = 2 * typical - abs(moves[-1])
    return cast_votes(Observation(100, matrix.tobytes()), 1.0, 1.25, 0.1)


BULL, BEAR = Column.FVG_BULLISH_ACTIVE, Column.FVG_BEARISH_ACTIVE
LEVEL, MITIGATION = Column.FVG_NEAREST_LEVEL, Column.FVG_MITIGATION
MOMENTUM, VOLUME = Column.PRICE_MOMENTUM_5, Column.VOLUME_RATIO
NEAR_PCT = 5 * math.atanh(0.1)  # the typical move of the hand-made observations, in percent


@pytest.mark.parametrize(
    ("now", "direction"),
    [
        ({}, 0),
        ({BULL: 1, LEVEL: -0.2}, 1),
        ({BULL: 1, LEVEL: 0.2}, 1),
        ({BEAR: 1, LEVEL: 0.2}, -1),
        ({BULL: 1, BEAR: 1, LEVEL: -0.2}, 1),
        ({BULL: 1, BEAR: 1, LEVEL: 0.2}, -1),
        ({BULL: 1, BEAR: 1, LEVEL: 0.0}, 0),
        ({BULL: 1, LEVEL: -0.51}, 0),
        ({BEAR: 1, LEVEL: 0.51}, 0),
    ],
)
def test_near_zone_votes_for_the_bounce(now, direction):
    vote = ballot({}, now).fvg
    assert (vote.name, vote.direction) == ("zone", direction)
    assert vote.threshold == pytest.approx(NEAR_PCT, rel=1e-6)
    assert (vote.score > 0) == (direction != 0)


def test_zone_scores_more_the_nearer_it_is():
    touching, far = ballot({}, {BULL: 1, LEVEL: 0.0}).fvg, ballot({}, {BULL: 1, LEVEL: 0.5}).fvg
    assert touching.score == 1.0
    assert far.score == pytest.approx(1 - 0.5 * 0.5 / NEAR_PCT, rel=1e-5)


@pytest.mark.parametrize(
    ("before", "now", "direction"),
    [
        ({BULL: 1}, {MITIGATION: 1}, -1),
        ({BEAR: 1}, {MITIGATION: 1}, 1),
        ({BULL: 1, BEAR: 1}, {MITIGATION: 1, BEAR: 1, LEVEL: -0.1}, -1),
        ({BULL: 1, BEAR: 1}, {MITIGATION: 1, BULL: 1, LEVEL: 0.1}, 1),
    ],
)
def test_broken_zone_votes_with_the_price_that_broke_it(before, now, direction):
    vote = ballot(before, now).fvg
    assert (vote.name, vote.direction, vote.score) == ("mitigation", direction, 1.0)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({BULL: 1, BEAR: 1}, {MITIGATION: 1}),  # both ended: no telling
        ({BULL: 1}, {MITIGATION: 1, BULL: 1, LEVEL: -0.1}),  # one of several ended
        ({BULL: 1}, {}),  # expired
    ],
)
def test_ambiguous_or_expired_zone_leaves_the_vote_to_the_zones_that_stand(before, now):
    assert ballot(before, now).fvg.name == "zone"


@pytest.mark.parametrize(
    ("move", "direction", "score"),
    [(0.124, 0, 0.0), (0.1251, 1, 0.5), (-0.1251, -1, 0.5), (0.1875, 1, 0.75), (-0.2, -1, 0.8)],
)
def test_momentum_votes_when_it_stands_out_from_the_typical(move, direction, score):
    vote = ballot({}, {MOMENTUM: move}).momentum
    assert vote.direction == direction
    assert vote.threshold == pytest.approx(0.125, rel=1e-6)
    assert vote.score == pytest.approx(score, abs=1e-3)


def test_motionless_market_has_no_direction():
    votes = ballot({}, {BULL: 1}, typical=0.0)
    assert votes.momentum.direction == 0
    assert votes.fvg.direction == 1
    assert votes.fvg.score == 1.0


@pytest.mark.parametrize(
    ("ratio", "confirms", "score"), [(0.09, 0, 0), (0.2, 1, 0.25), (0.9, 1, 1)]
)
def test_volume_confirms_from_its_threshold_on(ratio, confirms, score):
    vote = ballot({}, {VOLUME: ratio}).volume
    assert vote.direction == confirms
    assert vote.score == pytest.approx(score)


def test_confidence_weighs_zones_and_momentum_twice_as_much_as_volume():
    votes = ballot({BULL: 1}, {MITIGATION: 1, MOMENTUM: -0.1875, VOLUME: 0.4})
    assert votes.confidence == pytest.approx(0.4 * 1.0 + 0.4 * 0.75 + 0.2 * 0.5, rel=1e-5)
