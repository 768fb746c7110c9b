"""bellwire.agents.train.position: what actions do, and what that earns."""

from itertools import product

import numpy as np
import pytest

from bellwire.agents.train.position import held, moved, rewards
from bellwire.agents.train.synthetic import SyntheticSettings, synthetic_prices

JOINT = list(product(range(3), repeat=3))


@pytest.mark.parametrize(
    ("position", "actions", "after"),
    [
        (0.0, (2, 2, 2), 1.0),  # both long, all at once; two directions are still one unit
        (0.0, (2, 1, 2), 1.0),
        (0.0, (2, 0, 2), 0.0),  # they disagree: flat
        (0.0, (0, 0, 1), -0.5),
        (1.0, (0, 0, 1), 0.0),  # half of the way from long to short
        (1.0, (0, 0, 2), -1.0),
        (0.5, (1, 1, 2), 0.0),  # both hold: the target is flat
        (0.5, (0, 0, 0), 0.5),  # entry waits: whatever they say
    ],
)
def test_entry_decides_how_much_of_the_way_to_the_target_is_gone(position, actions, after):
    assert moved(np.array([position]), np.array([actions])).tolist() == [after]


def test_each_joint_action_keeps_the_position_within_one_unit():
    actions = np.array(JOINT)
    for start in (-1.0, -0.25, 0.0, 1.0):
        assert np.abs(moved(np.full(len(JOINT), start), actions)).max() <= 1.0


@pytest.mark.parametrize("position", [-1.0, 0.0, 0.25, 1.0])
def test_each_joint_action_moves_as_the_rule_says(position):
    for fvg, momentum, entry in JOINT:
        target = max(-1, min(1, (fvg - 1) + (momentum - 1)))
        expected = position + (target - position) * {0: 0.0, 1: 0.5, 2: 1.0}[entry]
        after = moved(np.array([position]), np.array([[fvg, momentum, entry]]))
        assert after.tolist() == [expected]


@pytest.mark.parametrize("position", [-1.0, 0.0, 0.25, 1.0])
def test_the_regime_says_how_much_of_the_target_is_held_wherever_the_position_was(position):
    for mlmi, nwrqk, mmd in JOINT:
        target = max(-1, min(1, (mlmi - 1) + (nwrqk - 1)))
        after = held(np.array([position]), np.array([[mlmi, nwrqk, mmd]]))
        assert after.tolist() == [target * {0: 0.0, 1: 0.5, 2: 1.0}[mmd]]


def test_who_stays_flat_earns_exactly_nothing():
    flat = np.zeros(3)
    earned = rewards(flat, flat, np.array([0.3, -0.1, 0.0]), fee_bp=5.0)
    assert earned.tolist() == [0.0, 0.0, 0.0]


def test_the_fee_is_paid_on_what_is_traded():
    earned = rewards(np.array([-1.0, 1.0]), np.array([1.0, 1.0]), np.zeros(2), fee_bp=2.0)
    assert earned == pytest.approx([-100.0 * 2e-4 * 2.0, 0.0])


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_the_price_level_does_not_change_a_reward(factor):
    close = synthetic_prices(SyntheticSettings(bars=500)).close
    position = np.linspace(-1.0, 1.0, 499)

    def earned(prices):
        returns = np.log(prices[1:] / prices[:-1])
        return rewards(position, np.roll(position, 1), returns, 1.0)

    assert np.array_equal(earned(close), earned(close * factor))
