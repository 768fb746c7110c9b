"""What a policy earns on held-out bars."""

from itertools import product

import numpy as np
import pytest

from bellwire.agents.quantize.held_out import moved, walk


def says(*actions):
    """A policy that is sure of these actions whatever it sees."""
    table = np.zeros((1, 3, 3), np.float32)
    table[0, [0, 1, 2], actions] = 1.0
    return lambda observations, positions: np.repeat(table, len(observations), axis=0)


@pytest.mark.parametrize("position", [-1.0, 0.0, 0.25, 1.0])
def test_each_of_the_27_joint_actions_moves_as_the_rule_says(position):
    for fvg, momentum, entry in product(range(3), repeat=3):
        target = max(-1, min(1, (fvg - 1) + (momentum - 1)))
        expected = position + (target - position) * {0: 0.0, 1: 0.5, 2: 1.0}[entry]
        after = moved(np.array([position]), np.array([[fvg, momentum, entry]]))
        assert after.tolist() == [expected]


def test_entry_never_changes_the_side():
    for entry in range(3):
        assert moved(np.array([0.0]), np.array([[2, 1, entry]]))[0] >= 0.0
        assert moved(np.array([0.0]), np.array([[0, 1, entry]]))[0] <= 0.0


def test_going_half_way_each_bar_earns_what_was_computed_by_hand():
    returns = np.array([0.01, -0.02, 0.04])
    done = walk(says(2, 2, 1), np.zeros((3, 60, 7), "f4"), returns)
    assert done.seen.tolist() == [0.0, 0.5, 0.75]
    assert done.gross_log_return == pytest.approx(0.5 * 0.01 - 0.75 * 0.02 + 0.875 * 0.04)
    assert done.turnover == pytest.approx(0.875)
    assert done.net_log_return(10) == pytest.approx(done.gross_log_return - 0.000875)


def test_who_waits_stays_flat_and_earns_exactly_nothing():
    done = walk(says(2, 2, 0), np.zeros((50, 60, 7), "f4"), np.full(50, 0.01))
    assert (done.gross_log_return, done.turnover, done.net_log_return(100)) == (0.0, 0.0, 0.0)


def test_long_then_short_is_paid_for_three_times():
    turns = iter([says(2, 2, 2), says(0, 0, 2)])

    def policy(observations, positions):
        return next(turns)(observations, positions)

    assert walk(policy, np.zeros((2, 60, 7), "f4"), np.zeros(2)).turnover == 3.0


def test_each_bar_is_asked_about_with_its_own_rows_and_the_position_so_far():
    seen = []

    def policy(observations, positions):
        seen.append((observations.copy(), positions.copy()))
        return says(2, 1, 1)(observations, positions)

    windows = np.arange(3 * 420, dtype="f4").reshape(3, 60, 7)
    walk(policy, windows, np.zeros(3))
    assert [observation.shape for observation, _ in seen] == [(1, 420)] * 3
    assert [position.tolist() for _, position in seen] == [[[0.0]], [[0.5]], [[0.75]]]
    assert all(
        (observation.reshape(60, 7) == window).all()
        for (observation, _), window in zip(seen, windows, strict=True)
    )
    assert seen[0][1].dtype == np.float32
