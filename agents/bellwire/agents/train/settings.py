"""How the tactical agents are trained: every number with its unit, bounds and reason."""

from dataclasses import dataclass, field

from bellwire.wire.settings import SettingsError, check_settings, setting

VARIANTS = ("tiny", "hidden-128")
ROLLOUT_STEPS_MAX = 1_000_000  # joint steps: what the tactical agents see of them takes 1.7 GB
STEPS_MAX = 1_000_000_000  # joint steps: half a day on one core; a larger number is a typing slip


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How bars are parted by time into those trained on and those tested on."""

    test_share: float = field(
        default=0.3,
        metadata=setting(
            unit="of the bars",
            why="the last 30 %: long enough for a held-out figure, most is left to learn from",
            ge=0.05,
            le=0.9,
        ),
    )
    folds: int = field(
        default=1,
        metadata=setting(
            unit="blocks",
            why="one split is one training; more test each part of the held-out time on what came "
            "before it, at the price of as many trainings",
            ge=1,
            le=20,
        ),
    )
    embargo_bars: int = field(
        default=80,
        metadata=setting(
            unit="bars",
            why="of each series, left out before each test: the 60 rows of an observation and the 20 "
            "bars its first row looks back on. Zones of up to 50 bars and the mean volume, which "
            "never ends, reach further: this makes the overlap small, it does not rule it out",
            ge=0,
            le=100_000,
        ),
    )

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            SettingsError: naming the field and its range.
        """
        check_settings(self)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What is trained for how long; a step is one bar of one environment, all three agents acting."""

    steps: int = field(
        default=1_000_000,
        metadata=setting(
            unit="joint steps",
            why="a minute on one core; after it, small series are only learnt by heart",
            ge=1,
            le=STEPS_MAX,
        ),
    )
    seed: int = field(
        default=0,
        metadata=setting(
            unit="", why="any number does; equal ones give equal weights", ge=0, le=2**32 - 1
        ),
    )
    variant: str = field(
        default="tiny",
        metadata=setting(
            unit="",
            why="the smallest, with half the weights of the other",
            choices=VARIANTS,
        ),
    )
    fee_bp: float = field(
        default=0.2,
        metadata=setting(
            unit="bp of the value traded",
            why="about half the spread of a liquid currency pair; at none, agents learn to trade "
            "on every bar",
            ge=0.0,
            le=1_000.0,
        ),
    )

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            SettingsError: naming the field and its range.
        """
        check_settings(self)


@dataclass(frozen=True, slots=True)
class MappoSettings:
    """Hyper-parameters of MAPPO; the defaults are those a measured run learnt with."""

    environments: int = field(
        default=64,
        metadata=setting(
            unit="episodes at once",
            why="a forward pass over 64 costs hardly more than over one",
            ge=1,
            le=4_096,
        ),
    )
    episode_bars: int = field(
        default=128,
        metadata=setting(
            unit="bars",
            why="several times the horizon 1 / (1 - gamma * lambda) of 17 bars",
            ge=2,
            le=10_000,
        ),
    )
    epochs: int = field(
        default=4,
        metadata=setting(
            unit="passes over a rollout",
            why="a few: more drift away from the policy that gathered it",
            ge=1,
            le=100,
        ),
    )
    minibatch: int = field(
        default=2_048,
        metadata=setting(
            unit="joint steps",
            why="a quarter of a rollout: 16 optimiser steps each. Advantages are compared within one:"
            " a single step has nothing to teach",
            ge=2,
            le=1_000_000,
        ),
    )
    learning_rate: float = field(
        default=3e-4,
        metadata=setting(
            unit="", why="Adam's, one for actors and critic; learnt in a minute", gt=0.0, le=1.0
        ),
    )
    clip: float = field(
        default=0.2,
        metadata=setting(
            unit="of the probability ratio",
            why="as in the paper of PPO",
            gt=0.0,
            le=1.0,
        ),
    )
    value_weight: float = field(
        default=0.5,
        metadata=setting(unit="", why="of the critic's error in the loss", ge=0.0, le=100.0),
    )
    entropy_weight: float = field(
        default=0.005,
        metadata=setting(
            unit="per nat",
            why="keeps agents trying; half of what PPO was published with, as returns of a bar are small",
            ge=0.0,
            le=10.0,
        ),
    )
    discount: float = field(
        default=0.99,
        metadata=setting(
            unit="per bar",
            why="gamma: a position pays over the bars it is held",
            ge=0.0,
            le=1.0,
        ),
    )
    trace_decay: float = field(
        default=0.95,
        metadata=setting(
            unit="per bar", why="lambda of the advantage estimate, as published", ge=0.0, le=1.0
        ),
    )
    gradient_norm_max: float = field(
        default=0.5,
        metadata=setting(
            unit="L2 norm",
            why="one wild bar must not undo what was learnt",
            gt=0.0,
            le=1e6,
        ),
    )
    output_gain: float = field(
        default=0.01,
        metadata=setting(
            unit="",
            why="of the actors' last layer: they begin undecided between their actions",
            gt=0.0,
            le=10.0,
        ),
    )

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            SettingsError: naming the field and its range.
        """
        check_settings(self)
        if self.rollout_steps > ROLLOUT_STEPS_MAX:
            expected = (
                f"at most {ROLLOUT_STEPS_MAX:,} with episode_bars {self.episode_bars}, multiplied"
            )
            raise SettingsError(type(self).__name__, "environments", self.environments, expected)

    @property
    def rollout_steps(self) -> int:
        """Joint steps between two updates."""
        return self.environments * self.episode_bars
