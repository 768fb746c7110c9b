"""Redis killed under load, again and again: no call hears of it, and the second level comes back by itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from statistics import median

import pytest
from tests.integration.coordinator.caching import counting_agent, invoke
from tests.integration.coordinator.frames import dial, eventually

from bellwire.agent.v1 import invocation_pb2
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.testing.redis import running_redis
from bellwire.testing.server import running_coordinator

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(180)]

ROUNDS = 5
CALLERS = 8
QUESTIONS = 200
CALLS_PER_STATE = 1_000  # With Redis there, and with Redis gone.
REDIS = invocation_pb2.CACHE_LEVEL_REDIS


def more_than(bound: int) -> Callable[[int], bool]:
    """A condition on a count."""
    return lambda count: count > bound


async def test_no_call_fails_while_redis_is_killed_and_started_under_load(redis_installed, capsys):
    levels: Counter[int] = Counter()
    failures: list[BaseException] = []
    slowest = 0.0
    recoveries = []
    stop = asyncio.Event()
    with running_redis(policy="allkeys-lru") as server:
        # Nothing stays in memory, so that every call that is not shared asks Redis.
        cache = CacheSettings(
            redis=server.url, ttl_seconds=0.001, redis_timeout_seconds=0.25, settle_seconds=0.0
        )
        async with (
            running_coordinator(cache=cache) as running,
            dial(running.unix) as bus,
            counting_agent(bus),
        ):

            async def load(seed: int) -> None:
                nonlocal slowest
                random = Random(seed)
                while not stop.is_set():
                    began = time.monotonic()
                    try:
                        reply = await invoke(bus, f'{{"n": {random.randrange(QUESTIONS)}}}')
                    except Exception as error:  # noqa: BLE001 - whatever it is, the test is to say so.
                        failures.append(error)
                        return
                    slowest = max(slowest, time.monotonic() - began)
                    levels[reply.cache_level] += 1

            async def calls_made() -> int:
                await asyncio.sleep(0.01)
                return levels.total() + len(failures)

            async def redis_hits() -> int:
                await asyncio.sleep(0.002)
                return levels[REDIS]

            callers = [asyncio.create_task(load(seed)) for seed in range(CALLERS)]
            for _ in range(ROUNDS):
                before = levels.total()
                await eventually(calls_made, more_than(before + CALLS_PER_STATE), 30)
                await asyncio.to_thread(server.kill)
                before = levels.total()
                await eventually(calls_made, more_than(before + CALLS_PER_STATE), 30)
                hits = levels[REDIS]
                await asyncio.to_thread(server.start)
                began = time.monotonic()
                await eventually(redis_hits, more_than(hits), 30)
                recoveries.append(time.monotonic() - began)
            stop.set()
            await asyncio.gather(*callers)
            level = (await bus.info()).cache.levels[1]
    with capsys.disabled():
        print(
            f"\nRedis killed {ROUNDS} times under {levels.total():,} calls: {len(failures)} failed, "
            f"slowest {slowest * 1e3:.0f} ms; first hit in Redis after it was back: median {median(recoveries):.2f} s, "
            f"longest {max(recoveries):.2f} s; "
            f"{level.hits:,} hits, {level.failures} failures, {level.skipped:,} skipped"
        )
    assert failures == []
    assert levels[REDIS] > ROUNDS
    assert level.skipped > ROUNDS
