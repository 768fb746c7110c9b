"""What the cache of calls spares, and what a call costs from each level: `python tests/benchmarks/cache.py`.

`make bench BENCH_ARGS="--only cache"` runs it several times and makes a table of it.

The stream is what a dozen agents would ask of one on the bundled EUR/USD bars: at each bar every one of them asks for
the volatility of three windows. Agent, coordinator and callers share one process and one Unix socket, so that times
are for comparing levels with each other; Redis is a process of its own. Nine hundred questions are different: no cache
could spare more than 91.7 %.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import pstdev
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import uvloop

from bellwire.agent.v1.invocation_pb2 import CacheLevel
from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.client import Client, connect
from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.levels import CacheLevels
from bellwire.coordinator.cache.question import Question
from bellwire.coordinator.cache.redis_level import RedisLevel
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.runtime import Agent, AgentRunner, tool
from bellwire.testing.redis import running_redis
from bellwire.testing.server import running_coordinator

ASKERS = 12
WINDOWS = (24, 120, 240)
WARM_UP = 200
MICROS = 1e6
UNCACHED = "not cacheable"
MISS = "miss in both levels"
MEMORY = "hit in memory"
REDIS = "hit in Redis"
Ask = Callable[[int], Awaitable[Any]]
Percentiles = dict[str, float]


class Volatility(Agent):
    """Answers from the bundled bars."""

    name = "volatility"

    def __init__(self) -> None:
        super().__init__()
        self.closes = [float(bar.close) for bar in read_ohlcv(EURUSD_1H.path, symbol="EURUSD").bars]
        self.calls = 0

    @tool(cache_seconds=3_600)
    async def volatility(self, bar: int, window: int) -> dict[str, float]:
        """Return the deviation of closes in a window that ends with a bar."""
        return self._answer(bar, window)

    @tool()
    async def volatility_uncached(self, bar: int, window: int) -> dict[str, float]:
        """Do the same, for every call."""
        return self._answer(bar, window)

    def _answer(self, bar: int, window: int) -> dict[str, float]:
        self.calls += 1
        closes = self.closes[max(0, bar + 1 - window) : bar + 1]
        return {"volatility": pstdev(closes)}


@asynccontextmanager
async def serving(cache: CacheSettings) -> AsyncIterator[tuple[Volatility, Client]]:
    """An agent and a client on a coordinator with that cache."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_coordinator(cache=cache))
        own = await stack.enter_async_context(connect(running.unix))
        client = await stack.enter_async_context(connect(running.unix))
        agent = Volatility()
        runner = AgentRunner(agent, own)
        task = asyncio.create_task(runner.run())
        stack.push_async_callback(asyncio.wait, {task}, timeout=5.0)
        stack.callback(runner.stop)
        await asyncio.wait_for(runner.ready.wait(), 10.0)
        yield agent, client


async def play(client: Client, bars: int) -> Counter[str]:
    """Ask as the stream says, all askers of a bar at once; count answers by where they came from."""
    levels: Counter[str] = Counter()

    async def asker(bar: int) -> None:
        for window in WINDOWS:
            reply = await client.call("volatility", {"bar": bar, "window": window})
            levels[CacheLevel.Name(reply.cache_level)] += 1

    for bar in range(bars):
        await asyncio.gather(*(asker(bar) for _ in range(ASKERS)))
    return levels


async def timed(ask: Ask, count: int) -> Percentiles:
    """Ask one after the other; return percentiles in microseconds."""
    for n in range(WARM_UP):
        await ask(n)
    took = []
    for n in range(WARM_UP, WARM_UP + count):
        began = time.perf_counter()
        await ask(n)
        took.append((time.perf_counter() - began) * MICROS)
    took.sort()
    return {f"p{p}": took[len(took) * p // 100] for p in (50, 95, 99)}


def said(percentiles: Percentiles) -> str:
    """Return percentiles as a line of text."""
    return "  ".join(f"{name} {value:7.0f} µs" for name, value in percentiles.items())


async def measure(bars: int, count: int) -> dict[str, Any]:
    """Return how many calls were spared, where answers came from, and percentiles of each kind of call."""
    whole: dict[str, Percentiles] = {}
    with running_redis(policy="allkeys-lru") as redis:
        settings = CacheSettings(redis=redis.url)
        async with serving(settings) as (agent, client):
            levels = await play(client, bars)
            reached = agent.calls

            async def uncached(_: int) -> None:
                await client.call("volatility_uncached", {"bar": 500, "window": 24})

            async def hit(_: int) -> None:
                await client.call("volatility", {"bar": 0, "window": 24})

            whole[UNCACHED] = await timed(uncached, count)
            whole[MISS] = await timed(_asking_anew(client), count)
            whole[MEMORY] = await timed(hit, count)
        # Another coordinator, whose memory is empty, asks what the first one has put into Redis.
        async with serving(settings) as (agent, client):
            whole[REDIS] = await timed(_asking_anew(client), count)
            assert agent.calls == 0, f"{agent.calls} calls reached the agent instead of Redis"
        return {
            "calls": levels.total(),
            "reached": reached,
            "levels": {name[12:].lower(): number for name, number in levels.most_common()},
            "whole": whole,
            "alone": await alone(redis.url, count),
        }


def _asking_anew(client: Client) -> Ask:
    async def ask(n: int) -> None:
        await client.call("volatility", {"bar": n % 6_000, "window": 7 + n // 6_000})

    return ask


def show(found: dict[str, Any], count: int) -> None:
    """Print what was measured."""
    spared = found["calls"] - found["reached"]
    print(
        f"stream: {found['calls']:,} calls, {found['reached']:,} reached the agent: "
        f"{spared / found['calls']:.1%} did not"
    )
    print("  " + ", ".join(f"{name} {number:,}" for name, number in found["levels"].items()))
    for title, kinds in (("whole calls", found["whole"]), ("the cache alone", found["alone"])):
        print(f"{title}, one after the other, {count:,} each")
        for kind, percentiles in kinds.items():
            print(f"  {kind:<22} {said(percentiles)}")


class _Text:
    """Values that are text."""

    def encode(self, value: str) -> bytes:
        return value.encode()

    def decode(self, data: bytes) -> str:
        return data.decode()

    def is_negative(self, value: str) -> bool:
        return False


async def alone(redis_url: str, count: int) -> dict[str, Percentiles]:
    """Return what the levels themselves take, without agents, callers and sockets to them."""
    found: dict[str, Percentiles] = {}
    # The second one, whose memory is empty, finds in Redis what the first one has written.
    for first in (MISS, REDIS):
        settings = CacheSettings(redis=redis_url, redis_prefix="alone")
        redis = RedisLevel(settings)
        await redis.open()
        levels: CacheLevels[str] = CacheLevels(settings, _Text(), waiting_max=1, redis=redis)

        async def make(_: float) -> str:
            return '{"volatility":0.0012345678}'

        async def ask(n: int, levels: CacheLevels[str] = levels) -> None:
            key = CacheKey("volatility", "1", str(n))
            await levels.answer(Question(key, 300.0, make, 1.0), 1.0)

        found[first] = await timed(ask, count)
        if first == MISS:
            found[MEMORY] = await timed(ask, count)
        await levels.close()
    return found


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=300)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write it to a file")
    options = parser.parse_args(arguments)
    found = uvloop.run(measure(options.bars, options.count))
    show(found, options.count)
    if options.json:
        options.json.write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
