"""A subscriber that reads far less than is published, and what became of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.benchmarks.peers.bellwire import settings_at
from tests.benchmarks.roles import QUIET_SECONDS, Reply
from tests.benchmarks.sink import Sink

from bellwire.bus.v1.subscriber_pb2 import OverflowPolicy
from bellwire.client import Client, Subscription, connect
from bellwire.client.start import LATEST
from bellwire.wire.errors import BellwireError

# A window this small leaves the coordinator with what is not read; the default of 10,000 would move
# the whole backlog of a phase into this process, and nobody would be slow.
WINDOW_MESSAGES: Final = 10


class SlowReader:
    """Reads one subscription at a pace, until told to catch up."""

    def __init__(self, subscription: Subscription, per_second: float) -> None:
        self.sink = Sink()
        self.ended = ""
        self._subscription = subscription
        self._pause_seconds = 1 / per_second
        self._hurry = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    def catch_up(self) -> None:
        """Read as fast as messages come from now on."""
        self._hurry.set()

    @property
    def dropped_messages(self) -> int:
        """What the coordinator dropped for it, by its own count."""
        return self._subscription.dropped_messages

    async def wait_ended(self, seconds_max: float) -> None:
        """Return when the coordinator has ended the stream, at the latest after so long."""
        await asyncio.wait([self._task], timeout=seconds_max)

    async def close(self) -> None:
        """Stop reading and end the stream."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._subscription.close()

    async def _read(self) -> None:
        try:
            async for message in self._subscription:
                self.sink.take(message.data)
                await self._pause()
        except BellwireError as error:
            self.ended = error.reason

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._hurry.wait(), self._pause_seconds)
        except TimeoutError:
            return


class SlowSubscriberRole:
    """Opens and closes one slow reader after another."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._reader: SlowReader | None = None
        self._name = ""

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `open`, `catch_up`, `until_ended` or `close`."""
        if command == "open":
            return await self._start(**arguments)
        if command == "catch_up":
            return await self._catch_up(**arguments)
        if command == "until_ended":
            return await self._until_ended()
        if command == "close":
            return await self.close()
        raise ValueError(f"a slow subscriber cannot {command!r}")

    async def close(self) -> Reply:
        """End the reader; its cursor goes with it, so that it holds nothing back afterwards."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()
            if self._name:
                await self._client.admin.delete_subscription(self._name)
        return {}

    async def _start(
        self, *, topic: str, name: str, policy: str, per_second: float, first_sequence: int
    ) -> Reply:
        subscription = self._client.subscribe(
            topic,
            subscription=name,
            start=LATEST,
            window_messages=WINDOW_MESSAGES,
            overflow_policy=OverflowPolicy.Value(f"OVERFLOW_POLICY_{policy}"),
        )
        await subscription.__aenter__()
        self._name = name
        self._reader = SlowReader(subscription, per_second)
        self._reader.sink.begin(first_sequence, timed=False)
        return {}

    async def _catch_up(self, *, expected: int) -> Reply:
        """Tell what was read and dropped; then read the rest, if any is expected, at full speed."""
        reader = self._opened()
        told = _told(reader)
        if expected:
            reader.catch_up()
            await reader.sink.wait_for(expected, quiet_seconds=QUIET_SECONDS)
        return told | {"received": reader.sink.arrivals.received}

    async def _until_ended(self) -> Reply:
        """Tell what was read; then read what is here already, behind which an end is learned of."""
        reader = self._opened()
        told = _told(reader)
        reader.catch_up()
        await reader.wait_ended(QUIET_SECONDS)
        return told | {"ended": reader.ended}

    def _opened(self) -> SlowReader:
        if self._reader is None:
            raise ValueError("nothing is open")
        return self._reader


def _told(reader: SlowReader) -> Reply:
    return {
        "read": reader.sink.arrivals.received,
        "dropped": reader.dropped_messages,
        "ended": reader.ended,
    }


@asynccontextmanager
async def open_slow_subscriber(*, address: str) -> AsyncIterator[tuple[SlowSubscriberRole, Reply]]:
    """Connect a subscriber that is slow."""
    async with connect(address, settings_at(address)) as client:
        role = SlowSubscriberRole(client)
        try:
            yield role, {}
        finally:
            await role.close()
