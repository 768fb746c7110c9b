"""How fast two models are, measured in turns, so that what else the machine does hits both."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import numpy as np

from bellwire.agents.train.policy import Floats, Policy
from bellwire.wire.settings import check_settings, setting

BATCHES: Final = (1, 64, 256)
NANOS_PER_MICRO: Final = 1_000
NANOS_PER_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TimingSettings:
    """How long to measure.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    rounds: int = field(
        default=15,
        metadata=setting(
            unit="rounds",
            why="medians settle; a second in all for 100,000 weights",
            ge=1,
            le=10_000,
        ),
    )
    rows_per_round: int = field(
        default=4_096,
        metadata=setting(
            unit="observations of each batch size", why="16 calls of 256", ge=256, le=1_000_000
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one model, on one thread of this machine; medians."""

    one_us_p50: float
    """Microseconds for one observation."""
    per_second_64: float
    """Observations a second in batches of 64."""
    per_second_256: float
    """In batches of 256."""


def measure(
    before: Policy,
    after: Policy,
    observations: Floats,
    settings: TimingSettings,
    *,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> tuple[Speed, Speed]:
    """Return the speed of both. Blocks, about a second for 100,000 weights.

    Args:
        before: Asked first in every other round, beginning with the first.
        after: Asked first in the rounds between.
        observations: (n, 420), repeated as needed.
        settings: How long.
        clock: In nanoseconds.
    """
    models = before, after
    calls: dict[tuple[int, int], list[int]] = {(m, b): [] for m in (0, 1) for b in BATCHES}
    inputs = {batch: _inputs(observations, batch) for batch in BATCHES}
    for model, batch in calls:
        models[model](*inputs[batch])  # first calls allocate
    for turn in range(settings.rounds):
        for batch in BATCHES:
            count = max(1, min(settings.rows_per_round // batch, settings.rows_per_round // 16))
            for model in (turn % 2, 1 - turn % 2):
                calls[model, batch] += _timed(models[model], inputs[batch], count, clock)
    return _speed(calls, 0), _speed(calls, 1)


def _inputs(observations: Floats, batch: int) -> tuple[Floats, Floats]:
    rows = np.resize(observations, (batch, observations.shape[1]))  # (batch, 420)
    return rows, np.linspace(-1.0, 1.0, batch, dtype=np.float32)[:, np.newaxis]


def _timed(
    model: Policy, inputs: tuple[Floats, Floats], count: int, clock: Callable[[], int]
) -> list[int]:
    durations = []
    for _ in range(count):
        began = clock()
        model(*inputs)
        durations.append(clock() - began)
    return durations


def _speed(calls: dict[tuple[int, int], list[int]], model: int) -> Speed:
    nanos = [max(1.0, median(calls[model, batch])) for batch in BATCHES]
    one, *rates = (
        nano / NANOS_PER_MICRO if batch == 1 else batch * NANOS_PER_SECOND / nano
        for batch, nano in zip(BATCHES, nanos, strict=True)
    )
    return Speed(one, *rates)
