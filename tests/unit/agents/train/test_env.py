"""bellwire.agents.train.env and vector_env: the standard's own test, and each against the other."""

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

from bellwire.agents.tactical.networks import AGENTS
from bellwire.agents.train.data import generate
from bellwire.agents.train.env import TacticalEnv
from bellwire.agents.train.synthetic import SyntheticSettings
from bellwire.agents.train.tape import record
from bellwire.agents.train.vector_env import Ground, VectorEnv

EPISODE = 16


@pytest.fixture(scope="module")
def tapes():
    return tuple(record(generate(SyntheticSettings(bars=300, seed=seed))) for seed in (1, 2))


def environment(tape, fee_bp=1.5):
    return TacticalEnv(tape, tape.decisions, episode_bars=EPISODE, fee_bp=fee_bp)


def test_it_keeps_the_contract_of_pettingzoo(tapes):
    parallel_api_test(environment(tapes[0]), num_cycles=200)


def test_observations_lie_within_their_space(tapes):
    env = environment(tapes[0])
    seen, _ = env.reset(seed=0)
    assert set(seen) == set(AGENTS)
    for agent in AGENTS:
        assert env.observation_space(agent).contains(seen[agent])


def test_equal_seeds_begin_equal_episodes(tapes):
    first, again = environment(tapes[0]), environment(tapes[0])
    for seed in (7, None, None):
        one, _ = first.reset(seed=seed)
        other, _ = again.reset(seed=seed)
        assert np.array_equal(one["fvg"], other["fvg"])


def test_an_episode_is_cut_off_never_ended(tapes):
    env = environment(tapes[0])
    env.reset(seed=0)
    for step in range(1, EPISODE + 1):
        *_, ended, cut, _ = env.step(dict.fromkeys(AGENTS, 1))
        assert set(ended.values()) == {False}
        assert set(cut.values()) == {step == EPISODE}
    assert env.agents == []


def test_many_episodes_at_once_are_the_same_as_one_by_one(tapes):
    random = np.random.default_rng(3)
    grounds = tuple(Ground(tape, tape.decisions) for tape in tapes)
    many = VectorEnv(grounds, episode_bars=EPISODE, fee_bp=1.5)
    which = np.array([0, 1, 1, 0])
    starts = random.integers(79, 200, 4)
    positions = np.array([-1.0, 0.0, 1.0, 0.5])
    many.place(which, starts, positions)
    single = [environment(tapes[index]) for index in which]
    for env, bar, position in zip(single, starts, positions, strict=True):
        env.reset(options={"bar": bar, "position": position})
    for _ in range(EPISODE):
        actions = random.integers(0, 3, (4, 3))
        earned, seen = many.step(actions), many.observations()
        for index, env in enumerate(single):
            one = dict(zip(AGENTS, actions[index].tolist(), strict=True))
            observed, rewards, *_ = env.step(one)
            assert rewards == dict.fromkeys(AGENTS, earned[index]), "bit for bit"
            assert np.array_equal(observed["entry"], seen[index])


def test_episodes_begin_on_every_ground_and_stay_within_it(tapes):
    grounds = (Ground(tapes[0], range(100, 130)), Ground(tapes[1], range(200, 290)))
    many = VectorEnv(grounds, episode_bars=EPISODE, fee_bp=0.0)
    allowed = [
        tape.observations(np.arange(bars.start, bars.stop))
        for tape, bars in ((tapes[0], range(100, 114)), (tapes[1], range(200, 274)))
    ]
    known = {row.tobytes() for rows in allowed for row in rows}
    many.begin(2_000, np.random.default_rng(0))
    begun = {row.tobytes() for row in many.observations()[:, :-1]}
    assert begun == known, "every bar with room for an episode, and no other"
    assert set(many.position) == {-1.0, 0.0, 1.0}
