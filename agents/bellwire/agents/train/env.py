"""The market as a PettingZoo environment: three agents, one position, one shared reward.

For any multi-agent library. Our own trainer uses `vector_env`, which does the same for many
episodes at once; a test holds both to the same numbers, bit for bit.
"""

import math
from typing import Final, TypeAlias

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from bellwire.agents.tactical.networks import ACTIONS, AGENTS, INPUT_SIZE
from bellwire.agents.train.position import BP, ENTRY_SHARES, REWARD_SCALE
from bellwire.agents.train.tape import Tape

VALUE_MAX: Final = 5.0  # of an observation: zones are clipped at 5 percent, all else is within 1

_Seen: TypeAlias = dict[str, NDArray[np.float32]]
_Infos: TypeAlias = dict[str, dict[str, float]]


class TacticalEnv(ParallelEnv):  # type: ignore[misc]  # PettingZoo has no type information.
    """One episode after another on a range of a tape; every agent sees all and earns the same.

    An observation is 421 values: the flattened matrix, then the position in [-1, 1]. Episodes are
    cut off after `episode_bars` (truncation); the market never ends by itself (no termination).
    """

    metadata = {"name": "bellwire_tactical_v1", "render_modes": [], "is_parallelizable": True}  # noqa: RUF012

    def __init__(self, tape: Tape, bars: range, *, episode_bars: int, fee_bp: float) -> None:
        """Take the bars that may be decided on; they must hold one whole episode."""
        assert len(bars) > episode_bars, "an episode and the bar after it must fit into the range"
        self.possible_agents = list(AGENTS)
        self.agents: list[str] = []
        self.render_mode = None
        self._tape = tape
        self._bars = bars
        self._episode_bars = episode_bars
        self._fee = fee_bp * BP
        self._random = np.random.default_rng()
        self._bar = self._stop = bars.start
        self._position = 0.0
        self._observed = Box(-VALUE_MAX, VALUE_MAX, (INPUT_SIZE,), np.float32)
        self._acted = {agent: Discrete(ACTIONS) for agent in AGENTS}

    def observation_space(self, agent: str) -> Box:
        """Return the space of observations, the same for every agent."""
        return self._observed

    def action_space(self, agent: str) -> Discrete:
        """Return the three actions of an agent."""
        return self._acted[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, float] | None = None
    ) -> tuple[_Seen, _Infos]:
        """Begin an episode, by default flat on a random bar.

        Args:
            seed: Of the random first bar; None goes on with the numbers of the seed before.
            options: "bar", the first bar to decide on, and "position" there.
        """
        if seed is not None:
            self._random = np.random.default_rng(seed)
        given = options or {}
        last = self._bars.stop - self._episode_bars
        drawn = int(self._random.integers(self._bars.start, last))
        self._bar = int(given.get("bar", drawn))
        assert self._bars.start <= self._bar < last, "the episode must lie within the range"
        self._stop = self._bar + self._episode_bars
        self._position = float(given.get("position", 0.0))
        self.agents = list(AGENTS)
        return self._seen(), self._infos()

    def step(
        self, actions: dict[str, int]
    ) -> tuple[_Seen, dict[str, float], dict[str, bool], dict[str, bool], _Infos]:
        """Move the position at the close of the bar and hold it over the next."""
        before = self._position
        fvg, momentum, entry = (int(actions[agent]) for agent in AGENTS)
        target = max(-1, min(1, fvg + momentum - 2))
        self._position = before + (target - before) * ENTRY_SHARES[entry]
        earned = self._position * float(self._tape.log_returns[self._bar])
        reward = REWARD_SCALE * (earned - self._fee * math.fabs(self._position - before))
        self._bar += 1
        cut = self._bar == self._stop
        live, seen = self.agents, self._seen()
        if cut:
            self.agents = []
        return (
            seen,
            dict.fromkeys(live, reward),
            dict.fromkeys(live, False),
            dict.fromkeys(live, cut),
            {agent: {"position": self._position} for agent in live},
        )

    def _seen(self) -> _Seen:
        matrix = self._tape.observations(np.array([self._bar]))[0]  # (420,)
        value = np.append(matrix, np.float32(self._position))  # (421,)
        return {agent: value.copy() for agent in self.agents}

    def _infos(self) -> _Infos:
        return {agent: {"position": self._position} for agent in self.agents}
