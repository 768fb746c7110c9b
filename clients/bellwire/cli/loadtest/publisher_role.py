"""A publisher of a load test: sends by its schedule and keeps account of what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bellwire.cli.loadtest.kernel_timer import KernelTimer
from bellwire.cli.loadtest.load import Load
from bellwire.cli.loadtest.open_loop import SendReport, run_open_loop
from bellwire.cli.loadtest.ranges import Range, Ranges
from bellwire.client import BellwireError, DeadlineExceededError, Publisher

__all__ = ["PublisherRole"]

# Bursts that may be unacknowledged. The client's buffer is the real bound (20,000 messages of 64 a
# burst); this one keeps the number of tasks finite whatever the buffer is set to.
BURSTS_IN_FLIGHT_MAX: Final = 1_000

Reply = dict[str, Any]


@dataclass(slots=True)
class _Account:
    """What became of one level's messages."""

    report: SendReport = field(default_factory=SendReport)
    acknowledged: int = 0
    failed: Ranges = field(default_factory=Ranges)
    error: str = ""

    def fail(self, first: int, end: int, error: BaseException) -> None:
        for sequence in range(first, end):
            self.failed.add(sequence)
        if not self.error:
            self.error = error.message if isinstance(error, BellwireError) else repr(error)

    def reply(self) -> Reply:
        return {
            "sent": self.report.sent,
            "acknowledged": self.acknowledged,
            "failed": self.failed.ranges(),
            "error": self.error,
        }


class PublisherRole:
    """Answers the commands of the conductor for one publisher."""

    def __init__(
        self,
        publisher: Publisher,
        topic: str,
        load_of: Callable[[int, Reply], Load],
        settle_seconds_max: float,
    ) -> None:
        """Take what is needed for every level.

        Args:
            publisher: Of the client.
            topic: Where to.
            load_of: Makes the load of a level from its number and arguments.
            settle_seconds_max: How long acknowledgements are awaited after the last send.
        """
        self._settle_seconds_max = settle_seconds_max
        self._publisher = publisher
        self._topic = topic
        self._load_of = load_of
        self._account = _Account()
        self._room = asyncio.Semaphore(BURSTS_IN_FLIGHT_MAX)
        self._in_flight: dict[asyncio.Future[Any], Range] = {}
        self._stopped = False
        self._timer: KernelTimer | None = None

    async def do(self, command: str, arguments: Reply) -> Reply:
        """Run `publish` (a level), or ask for its `status`, or `stop` it."""
        if command == "publish":
            return await self._publish(**arguments)
        if command == "status":
            return {"sent": self._account.report.sent}
        if command == "stop":
            self._stop()
            return {}
        raise ValueError(f"a publisher cannot {command!r}")

    def _stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.wake()

    async def _publish(self, *, level: int, give_up_ns: int, **arguments: Any) -> Reply:
        load = self._load_of(level, arguments)
        account = self._account = _Account()

        async def send(first: int, end: int) -> None:
            await self._send(load, account, first, end)

        with KernelTimer() as self._timer:
            await run_open_loop(
                load.schedule,
                send,
                account.report,
                wait_until=self._timer.wait_until,
                is_over=lambda now_ns: self._stopped or now_ns >= give_up_ns,
            )
        self._timer = None
        await self._settle_rest(account)
        return {
            **account.reply(),
            "scheduled": load.schedule.count,
            "lateness": account.report.lateness.to_json(),
        }

    async def _send(self, load: Load, account: _Account, first: int, end: int) -> None:
        """Hand a burst over; one message alone takes the way of a caller who has no more."""
        await self._room.acquire()
        if end - first > 1:
            burst = load.publish(self._publisher, first, end)
            self._track(asyncio.create_task(burst), account, first, end)
            return
        try:
            acknowledged = await self._publisher.enqueue(self._topic, load.message(first))
        except BellwireError as error:
            account.fail(first, end, error)
            self._room.release()
        else:
            self._track(acknowledged, account, first, end)

    def _track(self, outcome: asyncio.Future[Any], account: _Account, first: int, end: int) -> None:
        self._in_flight[outcome] = (first, end)

        def settled(done: asyncio.Future[Any]) -> None:
            self._room.release()
            if self._in_flight.pop(done, None) is None or done.cancelled():
                return  # Given up already.
            error = done.exception()
            if error is None:
                account.acknowledged += end - first
            else:
                account.fail(first, end, error)

        outcome.add_done_callback(settled)

    async def _settle_rest(self, account: _Account) -> None:
        """Wait for what is in flight; what is still unacknowledged then counts as failed."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=self._settle_seconds_max)
        # Callbacks of what has just ended run before us: `wait` itself is one of them.
        late = [done for done in self._in_flight if not done.done()]
        for outcome in late:
            first, end = self._in_flight.pop(outcome)
            account.fail(
                first,
                end,
                DeadlineExceededError(
                    f"no acknowledgement within {self._settle_seconds_max:g} s after the last send"
                ),
            )
            outcome.cancel()
