"""A subscription: an asynchronous iterator of messages or batches that settles what it hands over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import Self

from bellwire.client._consumer import Consumer
from bellwire.client._link import Link
from bellwire.client._subscribe_side import SubscribeOptions, SubscribeSide
from bellwire.client.received import Batch
from bellwire.client.settings import ClientSettings
from bellwire.client.settle_failure import SettleFailure
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import ClosedError

__all__ = ["Subscription"]


class Subscription(Consumer):
    """Brings messages from the bus; made by `Client.subscribe`, opened by `async with`.

    With settle="auto" a delivery is accepted when the next one is asked for, so what is being handled
    when the process dies, or the loop is left, is delivered again. After a lost connection it goes on
    where it was. An iteration ends when the subscription is closed, and raises what ended it otherwise.
    """

    def __init__(
        self,
        pool: ChannelPool,
        settings: ClientSettings,
        options: SubscribeOptions,
        *,
        auto: bool,
        on_settle_failure: Callable[[SettleFailure], None] | None = None,
        on_close: Callable[[Subscription], None] | None = None,
    ) -> None:
        super().__init__(auto=auto)
        name = options.subscription or ", ".join(options.topics)
        self._where = f"subscription {name!r} at {pool.address}"
        self._settings = settings
        self._side = SubscribeSide(pool, settings, options, on_settle_failure)
        self._link = Link(self._side, pool, self._where, settings, settings.heartbeat_seconds)
        self._side.wake = self._link.wake
        self._side.revoke = self._revoke
        self._on_close = on_close
        self._closed = False

    @property
    def dropped_messages(self) -> int:
        """Messages dropped because this subscriber fell behind."""
        return self._side.dropped_messages

    @property
    def duplicates_skipped(self) -> int:
        """Messages delivered again after a lost connection and not handed over again."""
        return self._side.inbox.duplicates_skipped

    @property
    def expired_messages(self) -> int:
        """Messages not handed over because they waited here longer than `lease_seconds`."""
        return self._side.expired_messages

    @property
    def settle_failures(self) -> Sequence[SettleFailure]:
        """The latest dispositions the coordinator refused, oldest first; at most 100."""
        return tuple(self._side.settle_failures)

    @property
    def lane(self) -> str:
        """What carries the latest stream: "socket" on the same host, "grpc" elsewhere; empty before the first.

        "direct" while publishers on the same host bring messages past the coordinator.
        """
        return "direct" if self._side.is_direct else self._link.lane

    @property
    def direct_obstacle(self) -> str:
        """With `direct=True`: why some or all messages come by the coordinator; empty = nothing is in the way.

        Publishers elsewhere, or before they have fetched their end of a route, are no obstacle and not named.
        """
        return self._side.direct_obstacle

    @property
    def streams_opened(self) -> int:
        """Streams established so far; more than one means that connections were lost."""
        return self._link.streams_opened

    async def __aenter__(self) -> Self:
        """Open the stream.

        Raises:
            CallerError: The coordinator refused the subscription; its class says why.
            UnreachableError: No coordinator answered in time.
        """
        if self._closed:
            raise ClosedError(f"{self._where} is closed: open a new one")
        self._link.start()
        try:
            await self._link.opened(self._settings.timeout_seconds)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def paused(self) -> bool:
        """True between `pause` and `resume`."""
        return self._side.paused

    async def pause(self) -> None:
        """Have nothing more delivered until `resume`; what was received before is still handed over.

        The window and all leases stay, and so does the pause over lost connections. Of a named
        subscription other members go on, with partitions of their own.
        """
        self._side.paused = True
        self._link.wake()

    async def resume(self) -> None:
        """End a pause."""
        self._side.paused = False
        self._side.resume_direct()
        self._link.wake()

    async def next_batch(self) -> Batch:
        """Wait for the next delivery and take it."""
        side = self._side
        if side.crowded:
            # A full queue never suspends its consumer; without this the window would only be freed
            # once it is used up, and coordinator and consumer would work in turns.
            side.crowded = False
            await asyncio.sleep(0)
        while True:
            batch = side.inbox.take()
            if batch is not None:
                return batch
            if self._closed:
                raise StopAsyncIteration
            if side.failed is not None:
                raise side.failed
            if not self._link.started:
                raise ClosedError(f"{self._where} is not open: use `async with`")
            side.inbox.arrived.clear()
            await side.inbox.arrived.wait()

    def batch_nowait(self) -> Batch | None:
        """Take the next delivery if it is here already, in no turn of the loop; None = there is none."""
        return self._side.inbox.take()

    def still_holds(self, batch: Batch, index: int) -> bool:
        """Tell whether a batch from `index` on is still ours to hand over, and not delivered again."""
        if batch.lease < self.first_lease:
            return False
        if batch.void_at == inf or self._side.holds(batch):  # This is asked for every message.
            return True
        self._side.forget_rest(batch, index)
        return False

    def _revoke(self, first_lease: int) -> None:
        self.first_lease = first_lease

    def accept_soon(self, batch: Batch) -> None:
        """Accept what is done of the batch with the next tick's dispositions."""
        self._side.accept_soon(batch)

    async def close(self) -> None:
        """Send what is settled and end the stream; what is not settled is delivered again."""
        if self._closed:
            return
        self._closed = self._side.closing = True
        await self._link.close()
        self._side.end_direct()
        self._side.inbox.arrived.set()
        if self._on_close is not None:
            self._on_close(self)
