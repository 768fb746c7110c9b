"""One training: rollout after rollout until its steps are done, and stopped between any two."""

import time
from dataclasses import asdict
from typing import Final, Generic

import numpy as np
import torch

from bellwire.agents.train.checkpoint import Checkpoint
from bellwire.agents.train.mappo import Learner, UpdateReport
from bellwire.agents.train.settings import MappoSettings, TrainSettings
from bellwire.agents.train.system import System
from bellwire.agents.train.task import Task, W
from bellwire.agents.train.vector_env import Ground, VectorEnv

_STREAM: Final = 2  # beside the seed: other numbers than those the weights were drawn with
_GROWS: Final = "steps"  # the one setting that may differ when a training is gone on with


class Trainer(Generic[W]):
    """Learner, market and random numbers of one training.

    Every random number comes from one generator, and an episode never outlasts a rollout: so
    weights, optimiser, generator and step count are the whole state, and a training that was
    interrupted ends with the weights of one that was not. Equal seeds give equal weights on one
    machine with one thread; sums in another order differ in the last bits.
    """

    __slots__ = (
        "_learner",
        "_mappo",
        "_market",
        "_random",
        "_settings",
        "origin",
        "seconds",
        "step",
    )

    def __init__(
        self,
        task: Task[W],
        grounds: tuple[Ground, ...],
        settings: TrainSettings,
        mappo: MappoSettings,
    ) -> None:
        """Begin with untrained weights; torch computes on one thread from now on.

        More threads gain nothing with networks this small.
        """
        torch.set_num_threads(1)
        self._settings = settings
        self._mappo = mappo
        self._market = VectorEnv(grounds, episode_bars=mappo.episode_bars, fee_bp=settings.fee_bp)
        self._random = np.random.default_rng((settings.seed, _STREAM))
        first = task.beginning(settings, mappo.output_gain)
        self._learner = Learner(task.networks(first), mappo)
        self.step = 0
        """Joint steps made."""
        self.seconds = 0.0
        """Time they took; nothing depends on it."""
        self.origin = _origin(task.system, grounds, settings, mappo)
        """What it was begun with, as JSON: what a checkpoint must agree with."""

    @property
    def is_done(self) -> bool:
        """Whether all steps were made; the last rollout may go over their number."""
        return self.step >= self._settings.steps

    def update(self) -> UpdateReport:
        """Play one rollout and learn from it. Blocks for about half a second."""
        began = time.monotonic()
        rollout = self._learner.play(self._market, self._random)
        report = self._learner.learn(rollout, self._random)
        self.step += self._mappo.rollout_steps
        self.seconds += time.monotonic() - began
        return report

    def weights(self) -> W:
        """Return a copy of the weights as they are now."""
        return self._learner.weights()

    def checkpoint(self) -> Checkpoint:
        """Return all that is needed to go on from here."""
        random = self._random.bit_generator.state
        return Checkpoint(self.step, self.seconds, self._learner.state(), random, self.origin)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same origin."""
        self._learner.restore(checkpoint.arrays)
        self._random.bit_generator.state = checkpoint.random
        self.step, self.seconds = checkpoint.step, checkpoint.seconds


def _origin(
    system: System, grounds: tuple[Ground, ...], settings: TrainSettings, mappo: MappoSettings
) -> dict[str, object]:
    values: dict[str, object] = {"agents": system.agents, **asdict(settings), **asdict(mappo)}
    del values[_GROWS]
    for ground in grounds:
        bars = ground.tape.bars
        values[f"data of {bars.symbol}"] = bars.sha256
        values[f"bars of {bars.symbol}"] = [ground.bars.start, ground.bars.stop]
    return values
