"""Subscribers that each get every message, in one process."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.peers.bellwire import reading, settings_at
from tests.benchmarks.roles import QUIET_SECONDS, Reply
from tests.benchmarks.sink import Sink

from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.client import connect


class ManySubscribersRole:
    """Counts and times what each of many subscribers receives."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `begin` (a phase) or `finish` (it)."""
        if command == "begin":
            for sink in self._sinks:
                sink.begin(**arguments)
            return {}
        if command == "finish":
            return await self._finish(**arguments)
        raise ValueError(f"subscribers cannot {command!r}")

    async def _finish(self, *, expected: int) -> Reply:
        await asyncio.gather(
            *(sink.wait_for(expected, quiet_seconds=QUIET_SECONDS) for sink in self._sinks)
        )
        latency = LatencyHistogram()
        for sink in self._sinks:
            latency.merge(LatencyHistogram.of(sink.from_intended_ns))
        return {
            "received": sum(sink.arrivals.received for sink in self._sinks),
            "duplicates": sum(sink.arrivals.duplicates for sink in self._sinks),
            "from_intended": latency.to_json(),
        }


@asynccontextmanager
async def open_subscribers(
    *, address: str, subscribers: int, pattern: str
) -> AsyncIterator[tuple[ManySubscribersRole, Reply]]:
    """Connect each subscriber by itself and subscribe it, without a name, to the pattern."""
    sinks = [Sink() for _ in range(subscribers)]
    async with AsyncExitStack() as stack:
        for sink in sinks:
            client = await stack.enter_async_context(connect(address, settings_at(address)))
            subscription = client.subscribe(pattern, overflow_policy=OVERFLOW_POLICY_BLOCK)
            await stack.enter_async_context(reading(subscription, sink))
        yield ManySubscribersRole(sinks), {}
