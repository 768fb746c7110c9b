"""Many episodes at once in numpy: what the trainer learns on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.train.position import rewards
from bellwire.agents.train.tape import Tape

_START_POSITIONS = (-1.0, 0.0, 1.0)  # an episode may begin invested: to leave must be learnt too


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Bars of one tape that may be trained on."""

    tape: Tape
    bars: range


class VectorEnv:
    """Episodes that begin and end together, each on a tape of its own choice.

    All are cut off after as many steps as the caller makes: it calls `begin` again, and bootstraps
    with the value of what `observations` shows then.
    """

    __slots__ = (
        "_bars",
        "_episode_bars",
        "_fee_bp",
        "_grounds",
        "_position",
        "_size",
        "_system",
        "_which",
    )

    def __init__(self, grounds: tuple[Ground, ...], *, episode_bars: int, fee_bp: float) -> None:
        """Take at least one ground, each longer than an episode, all of one system."""
        assert grounds, "nothing to train on"
        assert all(len(ground.bars) > episode_bars for ground in grounds), "a ground is too short"
        self._grounds = grounds
        self._system = grounds[0].tape.system
        assert all(ground.tape.system is self._system for ground in grounds), "of two systems"
        self._size = grounds[0].tape.observation_size
        self._episode_bars = episode_bars
        self._fee_bp = fee_bp
        self._which = np.zeros(0, np.intp)
        self._bars = np.zeros(0, np.intp)
        self._position = np.zeros(0)

    def begin(self, environments: int, random: np.random.Generator) -> None:
        """Begin so many episodes on random bars; longer grounds get more of them."""
        room = np.array([len(ground.bars) - self._episode_bars for ground in self._grounds])
        ends = np.cumsum(room)
        drawn = random.integers(0, ends[-1], environments)
        which = np.searchsorted(ends, drawn, side="right")
        starts = np.array([ground.bars.start for ground in self._grounds])
        bars = starts[which] + drawn - (ends - room)[which]
        self.place(which, bars, random.choice(_START_POSITIONS, environments))

    def place(
        self, which: NDArray[np.intp], bars: NDArray[np.intp], position: NDArray[np.float64]
    ) -> None:
        """Begin episodes at these bars of these grounds with these positions, each (n,)."""
        self._which, self._bars, self._position = which, bars, position

    @property
    def position(self) -> NDArray[np.float64]:
        """(n,) in [-1, 1]."""
        return self._position

    @property
    def input_size(self) -> int:
        """Numbers the networks are given: the observation, and the position if they see it."""
        return self._size + self._system.sees_position

    def observations(self) -> NDArray[np.float32]:
        """Return what the agents see now, (n, input_size): the observation, then the position."""
        seen = np.empty((len(self._bars), self.input_size), np.float32)
        for index, ground in enumerate(self._grounds):
            mine = self._which == index
            seen[mine, : self._size] = ground.tape.observations(self._bars[mine])
        if self._system.sees_position:
            seen[:, self._size] = self._position
        return seen

    def step(self, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Move every position by its three actions, (n, 3), and return the rewards, (n,) percent."""
        earned = np.empty(len(self._bars))
        for index, ground in enumerate(self._grounds):
            mine = self._which == index
            earned[mine] = ground.tape.log_returns[self._bars[mine]]
        before = self._position
        self._position = self._system.positions_after(before, actions)
        self._bars = self._bars + 1
        return rewards(self._position, before, earned, self._fee_bp)
