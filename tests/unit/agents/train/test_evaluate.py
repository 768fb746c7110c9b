"""bellwire.agents.train.evaluate: policies whose result is known beforehand."""

import numpy as np
import pytest

from bellwire.agents.train.data import generate
from bellwire.agents.train.evaluate import buy_and_hold, evaluate
from bellwire.agents.train.synthetic import SyntheticSettings
from bellwire.agents.train.tape import record

BARS = range(100, 250)


@pytest.fixture(scope="module")
def tape():
    return record(generate(SyntheticSettings(bars=300)))


def always(*actions):
    def policy(observation, position):
        return np.eye(3, dtype=np.float32)[[actions]].repeat(len(observation), axis=0)

    return policy


def test_always_long_is_buying_and_holding(tape):
    found, held = evaluate(always(2, 2, 2), tape, BARS), buy_and_hold(tape, BARS)
    close = tape.bars.close
    assert found.gross_log_return == pytest.approx(np.log(close[250] / close[100]))
    assert found.gross_log_return == pytest.approx(held.gross_log_return)
    assert (found.turnover, held.turnover) == (1.0, 1.0)
    assert found.standard_error == pytest.approx(held.standard_error)
    assert found.actions == ((0, 0, 150), (0, 0, 150), (0, 0, 150))


def test_waiting_earns_and_trades_exactly_nothing(tape):
    found = evaluate(always(2, 2, 0), tape, BARS)
    assert (found.gross_log_return, found.turnover, found.standard_error) == (0.0, 0.0, 0.0)
    assert found.net_log_return(100.0) == 0.0


def test_the_policy_sees_the_observation_of_the_bar_and_its_own_position(tape):
    seen = []

    def policy(observation, position):
        seen.append((observation.copy(), position.copy()))
        return always(2, 1, 1)(observation, position)

    found = evaluate(policy, tape, BARS)
    assert np.array_equal(seen[5][0], tape.observations(np.array([105])))
    assert [float(position[0, 0]) for _, position in seen[:4]] == [0.0, 0.5, 0.75, 0.875]
    asked = [float(position[0, 0]) for _, position in seen]
    assert found.seen == pytest.approx(asked, abs=1e-7), "a gate asks again with these"
    assert {(a.shape, b.shape, b.dtype.name) for a, b in seen} == {((1, 420), (1, 1), "float32")}


def test_going_half_way_each_bar_earns_what_was_computed_by_hand(tape):
    first, second, third = tape.log_returns[100:103]
    found = evaluate(always(2, 2, 1), tape, range(100, 103))
    assert found.seen.tolist() == [0.0, 0.5, 0.75]
    expected = 0.5 * first + 0.75 * second + 0.875 * third
    assert found.gross_log_return == pytest.approx(expected)
    assert found.turnover == pytest.approx(0.875)
    assert found.net_log_return(10) == pytest.approx(expected - 0.000875)


def test_the_fee_is_taken_from_what_was_traded(tape):
    def turning(observation, position):
        side = 0 if position[0, 0] > 0 else 2
        return always(side, side, 2)(observation, position)

    found = evaluate(turning, tape, BARS)
    assert found.turnover == 1.0 + 2.0 * 149
    assert found.gross_log_return - found.net_log_return(2.0) == pytest.approx(2e-4 * 299)
