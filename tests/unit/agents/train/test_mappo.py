"""bellwire.agents.train.mappo: one update, looked at closely."""

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="make test-torch installs it")

from bellwire.agents.tactical.networks import Variant  # noqa: E402
from bellwire.agents.train.actor_critic import ActorCritic  # noqa: E402
from bellwire.agents.train.beginning import beginning  # noqa: E402
from bellwire.agents.train.data import generate  # noqa: E402
from bellwire.agents.train.mappo import Learner, Rollout  # noqa: E402
from bellwire.agents.train.policy import policy_of  # noqa: E402
from bellwire.agents.train.settings import MappoSettings  # noqa: E402
from bellwire.agents.train.synthetic import SyntheticSettings  # noqa: E402
from bellwire.agents.train.tape import record  # noqa: E402
from bellwire.agents.train.vector_env import Ground, VectorEnv  # noqa: E402

pytestmark = pytest.mark.torch

SETTINGS = MappoSettings(environments=8, episode_bars=16, minibatch=64, learning_rate=1e-2)


@pytest.fixture(scope="module")
def market():
    tape = record(generate(SyntheticSettings(bars=300)))
    return VectorEnv((Ground(tape, tape.decisions),), episode_bars=16, fee_bp=0.0)


@pytest.fixture
def learner():
    return Learner(ActorCritic(beginning(Variant.TINY, 0, 0.01)), SETTINGS)


def test_untrained_agents_are_undecided():
    probabilities = policy_of(beginning(Variant.TINY, 3, 0.01))
    random = np.random.default_rng(0)
    seen = random.uniform(-1, 1, (500, 420)).astype(np.float32)
    found = probabilities(seen, np.zeros((500, 1), np.float32))
    assert np.abs(found - 1 / 3).max() < 0.05


def test_a_rollout_keeps_the_probabilities_its_actions_were_drawn_with(learner, market):
    rollout = learner.play(market, np.random.default_rng(1))
    inputs = rollout.inputs.numpy()
    found = policy_of(learner.weights())(inputs[:, :420], inputs[:, 420:])
    actions = rollout.actions.numpy()
    chosen = np.take_along_axis(found, actions[:, :, None], 2)[:, :, 0]
    assert rollout.log_probs.exp().numpy() == pytest.approx(chosen, abs=1e-5)
    assert set(actions.ravel().tolist()) == {0, 1, 2}


def test_an_action_that_paid_becomes_likelier_for_each_agent_by_itself(learner, market):
    random = np.random.default_rng(1)
    played = learner.play(market, random)
    actions = played.actions
    # Only what entry did decided: its action 2 paid, all else cost.
    paid = torch.where(actions[:, 2] == 2, 1.0, -1.0)
    rollout = Rollout(
        played.inputs, actions, played.log_probs, paid, torch.zeros(len(actions)), 0.0
    )
    inputs = played.inputs.numpy()
    before = policy_of(learner.weights())(inputs[:, :420], inputs[:, 420:]).mean(axis=0)
    learner.learn(rollout, random)
    after = policy_of(learner.weights())(inputs[:, :420], inputs[:, 420:]).mean(axis=0)
    assert after[2, 2] > before[2, 2] + 0.05
    assert np.abs(after[:2] - before[:2]).max() < 0.05


def test_a_policy_beyond_the_clip_is_not_pushed_further(market):
    settings = replace(SETTINGS, entropy_weight=0.0)
    learner = Learner(ActorCritic(beginning(Variant.TINY, 0, 0.01)), settings)
    random = np.random.default_rng(1)
    played = learner.play(market, random)
    count = len(played.actions)
    signs = torch.where(torch.arange(count) % 2 == 0, 1.0, -1.0)
    # What paid is many times likelier than when it was done, what cost a third as likely.
    before = torch.where(signs > 0.0, -5.0, 0.0)[:, None].expand(count, 3)
    rollout = Rollout(played.inputs, played.actions, before, signs, torch.zeros(count), 0.0)
    weights = learner.weights()
    report = learner.learn(rollout, random)
    assert report.clipped_share == 1.0
    for old, new in zip(weights.actors, learner.weights().actors, strict=True):
        assert np.array_equal(old.hidden, new.hidden)
        assert np.array_equal(old.output, new.output)


def test_the_critic_learns_the_returns(learner, market):
    random = np.random.default_rng(1)
    played = learner.play(market, random)
    returns = torch.full((len(played.actions),), 3.0)
    rollout = Rollout(
        played.inputs, played.actions, played.log_probs, torch.zeros_like(returns), returns, 0.0
    )
    errors = [learner.learn(rollout, random).value_error for _ in range(10)]
    assert errors[-1] < 0.2 * errors[0]


def test_the_report_of_a_first_update_is_that_of_undecided_agents(learner, market):
    random = np.random.default_rng(1)
    report = learner.learn(learner.play(market, random), random)
    assert report.entropy == pytest.approx(math.log(3), abs=0.05)
    assert 0.0 <= report.clipped_share < 0.5


def test_a_restored_learner_goes_on_as_the_first_would_have(learner, market):
    learner.learn(learner.play(market, np.random.default_rng(1)), np.random.default_rng(2))
    other = Learner(ActorCritic(beginning(Variant.TINY, 9, 0.01)), SETTINGS)
    other.restore(learner.state())
    for each in (learner, other):
        each.learn(each.play(market, np.random.default_rng(3)), np.random.default_rng(4))
    one, two = learner.state(), other.state()
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_state_of_another_network_is_refused(learner):
    with pytest.raises(KeyError):
        learner.restore({})
