"""A closed loop of questions to a model: so many in flight, each timed from arrays to arrays."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.roles import Reply
from tests.benchmarks.tactical_models import Rows, observations

ROWS: Final = 100  # Observations in a message.
BATCHES: Final = 16  # Different ones, asked in turn.
ANSWER_SECONDS_MAX: Final = 10.0  # Far above any answer; one that is lost must not hang the run.

Ask = Callable[[Rows], Awaitable[int]]
"""Asks with a batch of observations; gives how many were answered."""


class WrongAnswerError(Exception):
    """An answer does not have a row for each that was asked."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"{rows} rows were answered, {ROWS} were asked")


async def closed_loop(asks: Sequence[Ask], *, warm_up_seconds: float, seconds: float) -> Reply:
    """Ask on each line again as soon as it is answered; what begins during the warm-up is not counted.

    Args:
        asks: One for each question in flight.
        warm_up_seconds: Before it counts.
        seconds: How long questions that count begin.

    Raises:
        WrongAnswerError: An answer has another number of rows.
        TimeoutError: An answer did not come.
    """
    batches = [observations(ROWS, seed) for seed in range(BATCHES)]
    took: list[int] = []
    clock = time.monotonic_ns
    counted_from = clock() + round(warm_up_seconds * 1e9)
    until = counted_from + round(seconds * 1e9)
    last, asked = counted_from, 0

    async def line(ask: Ask, number: int) -> None:
        nonlocal last, asked
        while (began := clock()) < until:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                answered = await ask(batches[number % BATCHES])
            if answered != ROWS:
                raise WrongAnswerError(answered)
            number, asked = number + 1, asked + 1
            if began >= counted_from:
                last = clock()
                took.append(last - began)

    async with asyncio.TaskGroup() as group:
        for number, ask in enumerate(asks):
            group.create_task(line(ask, number))
    return {"asked": asked, **summary(took, (last - counted_from) / 1e9)}


def summary(took_ns: Sequence[int], seconds: float) -> Reply:
    """Give rate and percentiles of what was answered; of nothing, zeros."""
    if not took_ns:
        return {"messages": 0, "observations_per_second": 0.0, "p50_us": 0.0, "p99_us": 0.0}
    histogram = LatencyHistogram.of(took_ns)
    return {
        "messages": len(took_ns),
        "observations_per_second": ROWS * len(took_ns) / seconds,
        "p50_us": histogram.percentile(50) / 1e3,
        "p99_us": histogram.percentile(99) / 1e3,
    }
