"""MAPPO: three agents that share one reward, each with its own clipped policy update.

The clipped surrogate is that of PPO (Schulman et al., 2017, arXiv 1707.06347, equation 7), kept
apart for each agent with one advantage for all, as with a central critic in Yu et al. (2022, arXiv
2103.01955, appendix A). Of that paper's extras, value normalisation and a clipped value loss are
left out: rewards in percent are of order one already.

1. Play one rollout with the policy as it is.
2. Estimate advantages (`gae`), with the critic's value of the last states behind the end.
3. For each epoch, in shuffled minibatches with advantages normalised in each: maximise every
   agent's clipped surrogate and its entropy, minimise the critic's squared error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic

import numpy as np
import torch
from numpy.typing import NDArray

from bellwire.agents.tactical.networks import ACTIONS
from bellwire.agents.tactical.networks.weights import Floats
from bellwire.agents.train.gae import advantages
from bellwire.agents.train.settings import MappoSettings
from bellwire.agents.train.task import Networks, W
from bellwire.agents.train.vector_env import VectorEnv

_ADAM_EPSILON: Final = 1e-5  # as PPO's reference implementations have it; 1e-8 takes wilder steps
_DEVIATION_MIN: Final = 1e-8  # keeps equal advantages from dividing by zero
_OPTIMISER: Final = "adam."
_AGENTS: Final = 3  # of every system


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """What was seen, done and earned between two updates; n joint steps."""

    inputs: torch.Tensor
    """(n, inputs)."""
    actions: torch.Tensor
    """(n, 3) indices."""
    log_probs: torch.Tensor
    """(n, 3) of those actions when they were taken."""
    advantages: torch.Tensor
    """(n,) shared by the agents."""
    returns: torch.Tensor
    """(n,) what the critic should have said."""
    reward_mean: float
    """Percent a step."""


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """How one update went; means over its minibatches."""

    reward_mean: float
    """Percent a step, of the rollout, while exploring."""
    entropy: float
    """Nats an agent, from ln 3 = 1.1 (undecided) down to 0."""
    value_error: float
    """Mean squared error of the critic, percent squared."""
    clipped_share: float
    """Of the probability ratios that left 1 +- clip."""


class Learner(Generic[W]):
    """Policies, critic and optimiser: plays rollouts and learns from them."""

    __slots__ = ("_names", "_networks", "_optimiser", "_settings")

    def __init__(self, networks: Networks[W], settings: MappoSettings) -> None:
        self._settings = settings
        self._networks = networks
        self._names = list(networks.parameters)
        self._optimiser = torch.optim.Adam(
            list(self._networks.parameters.values()), lr=settings.learning_rate, eps=_ADAM_EPSILON
        )

    def weights(self) -> W:
        """Return a copy of the weights as they are now."""
        return self._networks.weights()

    def play(self, market: VectorEnv, random: np.random.Generator) -> Rollout:
        """Play one episode in every environment, drawing actions by their probabilities."""
        s = self._settings
        shape = (s.episode_bars, s.environments)
        inputs = np.empty((*shape, market.input_size), np.float32)
        actions = np.empty((*shape, _AGENTS), np.int64)
        log_probs = np.empty((*shape, _AGENTS), np.float32)
        values, earned = np.empty(shape), np.empty(shape)
        market.begin(s.environments, random)
        for step in range(s.episode_bars):
            inputs[step] = market.observations()
            found, values[step] = self._asked(inputs[step])
            actions[step] = _drawn(found, random)
            chosen = actions[step][:, :, np.newaxis]
            log_probs[step] = np.take_along_axis(found, chosen, 2)[:, :, 0]
            earned[step] = market.step(actions[step])
        last_values = self._asked(market.observations())[1].astype(np.float64)
        worth = advantages(earned, values, last_values, s.discount, s.trace_decay)
        count = s.rollout_steps
        return Rollout(
            torch.from_numpy(inputs.reshape(count, market.input_size)),  # (n, inputs)
            torch.from_numpy(actions.reshape(count, _AGENTS)),  # (n, 3)
            torch.from_numpy(log_probs.reshape(count, _AGENTS)),  # (n, 3)
            torch.from_numpy(worth.advantages.reshape(count).astype(np.float32)),  # (n,)
            torch.from_numpy(worth.returns.reshape(count).astype(np.float32)),  # (n,)
            float(earned.mean()),
        )

    def learn(self, rollout: Rollout, random: np.random.Generator) -> UpdateReport:
        """Update policies and critic from one rollout."""
        s = self._settings
        count = len(rollout.actions)
        parts = []
        for _ in range(s.epochs):
            order = torch.from_numpy(random.permutation(count))
            parts += [
                self._step(rollout, order[start : start + s.minibatch])
                for start in range(0, count, s.minibatch)
            ]
        entropy, value_error, clipped = (float(each) for each in np.mean(parts, axis=0))
        return UpdateReport(rollout.reward_mean, entropy, value_error, clipped)

    def _asked(self, inputs: Floats) -> tuple[Floats, Floats]:
        with torch.no_grad():
            log_probs, values = self._networks(torch.from_numpy(inputs))
        return log_probs.numpy(), values.numpy()

    def _step(self, rollout: Rollout, chosen: torch.Tensor) -> tuple[float, float, float]:
        s = self._settings
        log_probs, values = self._networks(rollout.inputs[chosen])  # (b, 3, 3), (b,)
        taken = log_probs.gather(2, rollout.actions[chosen][:, :, None])[:, :, 0]  # (b, 3)
        ratio = (taken - rollout.log_probs[chosen]).exp()
        worth = rollout.advantages[chosen]
        worth = (worth - worth.mean()) / (worth.std(correction=0) + _DEVIATION_MIN)
        worth = worth[:, None]  # (b, 1): one advantage for all three agents
        surrogate = torch.minimum(ratio * worth, ratio.clamp(1.0 - s.clip, 1.0 + s.clip) * worth)
        entropy = -(log_probs.exp() * log_probs).sum(2)  # (b, 3)
        value_error = (values - rollout.returns[chosen]).square().mean()
        gained = surrogate + s.entropy_weight * entropy  # (b, 3)
        loss = s.value_weight * value_error - gained.mean(0).sum()
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            list(self._networks.parameters.values()), s.gradient_norm_max
        )
        self._optimiser.step()
        clipped = ((ratio - 1.0).abs() > s.clip).float().mean()
        return entropy.mean().item(), value_error.item(), clipped.item()

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return copies of all that `restore` needs: weights, and the optimiser's moments."""
        arrays = {
            name: each.detach().numpy().copy() for name, each in self._networks.parameters.items()
        }
        for index, moments in self._optimiser.state_dict()["state"].items():
            for key, value in moments.items():
                arrays[f"{_OPTIMISER}{self._names[index]}.{key}"] = value.numpy().copy()
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Go on from a state taken before, of the same variant.

        Raises:
            KeyError, RuntimeError: an array is absent or has another shape.
        """
        state = self._optimiser.state_dict()
        state["state"] = {}
        with torch.no_grad():
            for index, (name, parameter) in enumerate(self._networks.parameters.items()):
                parameter.copy_(torch.from_numpy(arrays[name]))
                start = f"{_OPTIMISER}{name}."
                moments = {
                    key.removeprefix(start): torch.from_numpy(value.copy())
                    for key, value in arrays.items()
                    if key.startswith(start)
                }
                if moments:
                    state["state"][index] = moments
        self._optimiser.load_state_dict(state)


def _drawn(log_probs: Floats, random: np.random.Generator) -> NDArray[np.int64]:
    """Return an action for every agent, (n, 3), drawn by inverting the cumulated probabilities."""
    ends = np.exp(log_probs).cumsum(axis=2)[:, :, : ACTIONS - 1]  # (n, 3, 2)
    point = random.random((*log_probs.shape[:2], 1), np.float32)
    drawn: NDArray[np.int64] = (point >= ends).sum(axis=2)
    return drawn
