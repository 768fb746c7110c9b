"""A publisher of a load test: sends by its schedule and keeps account of what became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from bellwire.cli.loadtest.in_flight import InFlight
from bellwire.cli.loadtest.kernel_timer import KernelTimer
from bellwire.cli.loadtest.load import Load
from bellwire.cli.loadtest.open_loop import BURST_MESSAGES_MAX, SendReport, run_open_loop
from bellwire.cli.loadtest.protocol import Json, LoadRequest, Publish, Published
from bellwire.cli.loadtest.ranges import Ranges
from bellwire.client import BellwireError, DeadlineExceededError, Publisher
from bellwire.client.settings import PublishSettings

__all__ = ["PublisherRole", "in_flight_max"]

# What the client counts for a message besides its payload, generously.
ENVELOPE_BYTES: Final = 512
NANOSECONDS_PER_SECOND: Final = 1_000_000_000


def in_flight_max(settings: PublishSettings, message_bytes: int) -> int:
    """Return how many messages may be unacknowledged so that the client's buffer is never full.

    Calls that wait for its room side by side go on in any order; here they wait before they are
    made, in order.
    """
    by_bytes = settings.buffer_bytes_max // (message_bytes + ENVELOPE_BYTES)
    return max(BURST_MESSAGES_MAX, min(settings.buffer_messages_max, by_bytes))


@dataclass(slots=True)
class _Account:
    """What became of one level's messages."""

    give_up_ns: int
    report: SendReport = field(default_factory=SendReport)
    acknowledged: int = 0
    failed: Ranges = field(default_factory=Ranges)
    error: str = ""

    def settle(self, first: int, end: int, error: BaseException | None) -> None:
        if error is None:
            self.acknowledged += end - first
            return
        for sequence in range(first, end):
            self.failed.add(sequence)
        if not self.error:
            self.error = error.message if isinstance(error, BellwireError) else repr(error)

    def reply(self, scheduled: int) -> Published:
        return {
            "scheduled": scheduled,
            "sent": self.report.sent,
            "acknowledged": self.acknowledged,
            "failed": self.failed.ranges(),
            "error": self.error,
            "lateness": self.report.lateness.to_json(),
        }


class PublisherRole:
    """Answers the commands of the conductor for one publisher."""

    def __init__(
        self,
        publisher: Publisher,
        topic: str,
        load_of: Callable[[int, LoadRequest], Load],
        in_flight: InFlight,
        settle_seconds_max: float,
    ) -> None:
        """Take what is needed for every level.

        Args:
            publisher: Of the client.
            topic: Where to.
            load_of: Makes the load of a level from its number and arguments.
            in_flight: Bounds what is unacknowledged.
            settle_seconds_max: How long acknowledgements are awaited after the last send.
        """
        self._publisher = publisher
        self._topic = topic
        self._load_of = load_of
        self._in_flight = in_flight
        self._settle_seconds_max = settle_seconds_max
        self._account = _Account(0)
        self._stopped = False
        self._is_routed = False
        self._timer: KernelTimer | None = None

    async def do(self, command: str, arguments: Json) -> Json:
        """Run `publish` (a level), or ask for its `status`, or `stop` it."""
        if command == "publish":
            return {**await self._publish(cast("Publish", arguments))}
        if command == "status":
            return {"sent": self._account.report.sent}
        if command == "stop":
            self._stop()
            return {}
        raise ValueError(f"a publisher cannot {command!r}")

    def _stop(self) -> None:
        self._stopped = True
        self._in_flight.wake()
        if self._timer is not None:
            self._timer.wake()

    def _is_over(self, now_ns: int) -> bool:
        return self._stopped or now_ns >= self._account.give_up_ns

    async def _publish(self, request: Publish) -> Published:
        load = self._load_of(request["level"], request)
        account = self._account = _Account(request["give_up_ns"])

        async def send(first: int, end: int) -> bool:
            return await self._send(load, account, first, end)

        with KernelTimer() as self._timer:
            await run_open_loop(
                load.schedule,
                send,
                account.report,
                wait_until=self._timer.wait_until,
                is_over=self._is_over,
            )
        self._timer = None
        await self._settle_rest(account)
        return account.reply(load.schedule.count)

    async def _send(self, load: Load, account: _Account, first: int, end: int) -> bool:
        """Hand a burst over, once there is room for it; False when there was none to the end."""
        while not self._in_flight.fits(end - first):
            seconds = (account.give_up_ns - time.monotonic_ns()) / NANOSECONDS_PER_SECOND
            await self._in_flight.changed(max(0.0, seconds))
            if self._is_over(time.monotonic_ns()):
                return False
        if end - first > 1 and self._is_routed:
            burst = asyncio.create_task(load.publish(self._publisher, first, end))
            self._in_flight.add(burst, first, end, account.settle)
            return True
        for sequence in range(first, end):
            await self._send_one(load, account, sequence)
        # Bursts that find the topic's partitions unknown would ask for them side by side and go on
        # in any order; the first one does not go as such.
        self._is_routed = True
        return True

    async def _send_one(self, load: Load, account: _Account, sequence: int) -> None:
        """Hand one message over, the way of a caller who has no more."""
        try:
            acknowledged = await self._publisher.enqueue(self._topic, load.message(sequence))
        except BellwireError as error:
            account.settle(sequence, sequence + 1, error)
        else:
            self._in_flight.add(acknowledged, sequence, sequence + 1, account.settle)

    async def _settle_rest(self, account: _Account) -> None:
        """Wait for what is in flight; what is still unacknowledged then counts as failed."""
        late = DeadlineExceededError(
            f"no acknowledgement within {self._settle_seconds_max:g} s after the last send"
        )
        for first, end in await self._in_flight.settled(self._settle_seconds_max):
            account.settle(first, end, late)
