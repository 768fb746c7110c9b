"""Subscribe to every topic of the run and keep what comes, until the last agent is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.cli.demo.plan import LAST_STAGE
from bellwire.cli.demo.recording import Recording
from bellwire.cli.faults import CommandError
from bellwire.client.start import EARLIEST
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark

if TYPE_CHECKING:
    from bellwire.client import Client
    from bellwire.client.received import Batch

__all__ = ["Recorder"]

SUBSCRIPTION: Final = "report"  # shown in traces as who a message was routed to
# Everything published has long arrived when the last watermark is seen; this is for a busy machine.
CATCH_UP_SECONDS: Final = 10.0


class Recorder:
    """Takes part as one more subscriber, which the coordinator waits for rather than skips."""

    def __init__(
        self, client: Client, topics: Sequence[str], on_bar: Callable[[int], None]
    ) -> None:
        self.recording = Recording()
        self.first_monotonic = 0.0
        self.last_monotonic = 0.0
        self._client = client
        self._topics = tuple(topics)
        self._on_bar = on_bar
        self._bars = 0
        self._ended = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Record until cancelled."""
        subscription = self._client.subscribe(
            *self._topics,
            subscription=SUBSCRIPTION,
            start=EARLIEST,
            overflow_policy=OVERFLOW_POLICY_BLOCK,
        )
        async with subscription:
            self._subscribed.set()
            async for batch in subscription.batches():
                self._take(batch)

    def _take(self, batch: Batch) -> None:
        now = time.monotonic()
        self.first_monotonic = self.first_monotonic or now
        added = self.recording.add(batch.topic, batch.partition, batch.first_offset, batch.messages)
        for recorded in added:
            payload = recorded.payload
            if isinstance(payload, Bar):
                self._bars += 1
                self._on_bar(self._bars)
            elif isinstance(payload, Watermark) and _is_last(payload):
                self.last_monotonic = now
                self._ended.set()
        self._arrived.set()

    async def wait_ended(self) -> None:
        """Wait for the watermark that ends the stream."""
        await self._ended.wait()

    async def wait_subscribed(self) -> None:
        """Wait until messages would be seen."""
        await self._subscribed.wait()

    async def catch_up(self, messages: int) -> None:
        """Wait until as many messages are recorded as the coordinator has admitted.

        Raises:
            CommandError: When some are still missing after the deadline.
        """
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while len(self.recording.messages) < messages:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise CommandError(
                f"the run ended with {messages:,} messages on the bus, of which only "
                f"{len(self.recording.messages):,} were delivered to the report"
            ) from None


def _is_last(mark: Watermark) -> bool:
    return mark.end_of_stream and mark.stage == LAST_STAGE
