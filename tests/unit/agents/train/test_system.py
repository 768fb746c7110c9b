"""bellwire.agents.train.system: trained on and tested on are the same game, of either system."""

from dataclasses import replace

import numpy as np
import pytest

from bellwire.agents.train.data import generate
from bellwire.agents.train.errors import TooFewBarsError
from bellwire.agents.train.evaluate import evaluate
from bellwire.agents.train.synthetic import SyntheticSettings
from bellwire.agents.train.system import STRATEGIC, TACTICAL
from bellwire.agents.train.tape import record
from bellwire.agents.train.vector_env import Ground, VectorEnv

TESTED = range(100, 160)
FEE_BP = 3.0


@pytest.fixture(scope="module")
def bars():
    return generate(SyntheticSettings(bars=300))


def drawn_actions():
    return np.random.default_rng(5).integers(0, 3, (len(TESTED), 3))


def table_of(actions):
    return np.eye(3, dtype=np.float32)[actions][np.newaxis]  # (1, 3, 3)


@pytest.mark.parametrize(("system", "numbers"), [(TACTICAL, 421), (STRATEGIC, 13)])
def test_the_rewards_of_an_episode_are_what_its_test_earns_after_the_fee(bars, system, numbers):
    tape, actions = record(bars, system), drawn_actions()
    market = VectorEnv((Ground(tape, tape.decisions),), episode_bars=60, fee_bp=FEE_BP)
    market.place(np.zeros(1, np.intp), np.array([TESTED.start]), np.zeros(1))
    assert market.observations().shape == (1, market.input_size) == (1, numbers)
    earned = sum(market.step(each[np.newaxis])[0] for each in actions)
    said = iter(actions)
    found = evaluate(lambda seen, position: table_of(next(said)), tape, TESTED)
    assert found.turnover > 5.0
    assert earned == pytest.approx(100.0 * found.net_log_return(FEE_BP))
    assert [sum(counts) for counts in found.actions] == [len(TESTED)] * 3


def test_only_the_tactical_networks_see_the_position(bars):
    for system, sees in ((TACTICAL, True), (STRATEGIC, False)):
        tape = record(bars, system)
        market = VectorEnv((Ground(tape, tape.decisions),), episode_bars=60, fee_bp=0.0)
        seen = []
        for position in (-1.0, 1.0):
            market.place(np.zeros(1, np.intp), np.array([100]), np.array([position]))
            seen.append(market.observations())
        assert np.array_equal(seen[0], seen[1]) == (not sees)


def test_tapes_of_two_systems_are_no_ground_for_one_training(bars):
    grounds = tuple(
        Ground(tape, tape.decisions)
        for tape in (record(bars, system) for system in (TACTICAL, STRATEGIC))
    )
    with pytest.raises(AssertionError, match="of two systems"):
        VectorEnv(grounds, episode_bars=60, fee_bp=0.0)


def test_the_strategic_system_needs_one_bar_more(bars):
    columns = ("open_times", "open", "high", "low", "close", "volume")
    cut = replace(bars, **{name: getattr(bars, name)[:81] for name in columns})
    assert len(record(cut, TACTICAL).decisions) == 1
    with pytest.raises(TooFewBarsError, match=r"81 bars, .* at least 82"):
        record(cut, STRATEGIC)
