import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.inference import InvalidTensorError
from bellwire.agents.strategic import RegimeAction, strategic_stance
from bellwire.agents.strategic.stance import StanceSettings
from bellwire.agents.tactical.aggregate import MoveReason
from bellwire.agents.train.position import held

VOTE = StanceSettings(rule="vote")
DIRECTIONS = (-1, 0, 1)
SHARES = (0.0, 0.5, 1.0)


def forced(*actions, sure=1.0):
    table = np.full((3, 3), (1.0 - sure) / 2, np.float32)
    for row, action in enumerate(actions):
        table[row, action] = sure
    return table


@pytest.mark.parametrize("wanted", list(itertools.product(range(3), repeat=3)))
def test_every_joint_action_gives_the_right_side_and_size(wanted):
    mlmi, nwrqk, mmd = wanted
    stance = strategic_stance(forced(*wanted), VOTE)
    direction = DIRECTIONS[mlmi] if mlmi == nwrqk else 0
    assert stance.position == direction * SHARES[mmd]
    assert stance.regime is RegimeAction(mmd)


@pytest.mark.parametrize("wanted", list(itertools.product(range(3), repeat=3)))
def test_unless_told_otherwise_the_stance_is_what_training_held(wanted):
    stance = strategic_stance(forced(*wanted, sure=0.6))
    assert stance.position == held(np.zeros(1), np.array([wanted]))[0]
    assert stance.score == pytest.approx(0.6)
    directions = [DIRECTIONS[action] for action in wanted[:2]]
    expected = MoveReason.TIE if any(directions) else MoveReason.HOLD_VOTED
    assert stance.reason is (MoveReason.MOVED if sum(directions) else expected)


@pytest.mark.parametrize(
    ("sure", "reason", "score"),
    [(0.7, MoveReason.MOVED, 0.7), (0.6, MoveReason.BELOW_THRESHOLD, 0.6)],
)
def test_a_direction_needs_confidence(sure, reason, score):
    stance = strategic_stance(forced(2, 2, 2, sure=sure), VOTE)
    assert (stance.reason, stance.score) == (reason, pytest.approx(score))
    assert (stance.position == 1.0) == (reason is MoveReason.MOVED)


def test_opposite_votes_are_a_tie_and_the_threshold_is_a_setting():
    assert strategic_stance(forced(0, 2, 2), VOTE).reason is MoveReason.TIE
    eager = StanceSettings(rule="vote", threshold=0.4)
    assert strategic_stance(forced(2, 2, 1, sure=0.5), eager).position == 0.5


rows = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3).map(
    lambda row: [value / sum(row) for value in row]
)


@given(rows, rows, rows, rows, st.sampled_from((None, VOTE)))
def test_the_regime_never_changes_the_side(mlmi, nwrqk, one, other, settings):
    sides = {
        np.sign(strategic_stance(np.array([mlmi, nwrqk, mmd], np.float32), settings).position)
        for mmd in (one, other)
    }
    assert len(sides - {0.0}) <= 1


def test_what_is_no_distribution_is_refused():
    with pytest.raises(InvalidTensorError, match="three probabilities"):
        strategic_stance(np.ones((3, 3), np.float32))
