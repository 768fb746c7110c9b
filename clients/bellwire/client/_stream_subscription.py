"""A subscription over one stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import Self

from bellwire.client._link import Link
from bellwire.client._resume import EphemeralResume
from bellwire.client._subscribe_side import SubscribeOptions, SubscribeSide
from bellwire.client._whereabouts import Origin
from bellwire.client.received import Batch, Settler
from bellwire.client.settings import ClientSettings
from bellwire.client.settle_failure import SettleFailure
from bellwire.client.subscription import Subscription
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import ClosedError

__all__ = ["StreamSubscription"]


class StreamSubscription(Subscription):
    """The subscription of a client to one coordinator, or to one group of them; also a part of a merged one."""

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
        self._settler = self._side.settler
        self._settler.wake = self._link.wake
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
        return self._settler.expired_messages

    @property
    def settle_failures(self) -> Sequence[SettleFailure]:
        """The latest dispositions the coordinator refused, oldest first; at most 100."""
        return tuple(self._side.settle_failures)

    @property
    def lane(self) -> str:
        """What carries the latest stream; "direct" while messages come past the coordinator."""
        return "direct" if self._side.is_direct else self._link.lane

    @property
    def direct_obstacle(self) -> str:
        """With `direct=True`: why some or all messages come by the coordinator; empty = nothing is in the way."""
        return self._side.direct_obstacle

    @property
    def streams_opened(self) -> int:
        """Streams established so far; more than one means that connections were lost."""
        return self._link.streams_opened

    async def __aenter__(self) -> Self:
        """Open the stream."""
        if self._closed:
            raise ClosedError(f"{self._where} is closed: open a new one")
        self._link.start()
        try:
            await self._link.opened(self._settings.timeout_seconds)
        except BaseException:
            await self.close()
            raise
        return self

    @property
    def paused(self) -> bool:
        """True between `pause` and `resume`."""
        return self._side.paused

    async def pause(self) -> None:
        """Have nothing more delivered until `resume`."""
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
        if self._settler.crowded:
            await self.let_settle()
        while True:
            batch = self.batch_nowait()
            if batch is not None:
                return batch
            if self._closed:
                raise StopAsyncIteration
            if not self._link.started:
                raise ClosedError(f"{self._where} is not open: use `async with`")
            side.inbox.arrived.clear()
            await side.inbox.arrived.wait()

    @property
    def is_crowded(self) -> bool:
        """Whether so much is settled that the sender should run before the next delivery is taken."""
        return self._settler.crowded

    async def let_settle(self) -> None:
        """Let the sender run.

        A full queue never suspends its consumer; without this the window would only be freed
        once it is used up, and coordinator and consumer would work in turns.
        """
        self._settler.crowded = False
        await asyncio.sleep(0)

    def batch_nowait(self) -> Batch | None:
        """Take the next delivery if it is here already; None = there is none.

        Raises:
            BellwireError: There is none, and the subscription has failed for good.
        """
        batch = self._side.inbox.take()
        if batch is None and self._side.failed is not None and not self._closed:
            raise self._side.failed
        return batch

    def still_holds(self, batch: Batch, index: int) -> bool:
        """Tell whether a batch from `index` on is still ours to hand over, and not delivered again."""
        if batch.lease < self.first_lease:
            return False
        if batch.void_at == inf or self._settler.holds(batch):  # This is asked for every message.
            return True
        self._settler.forget_rest(batch, index)
        return False

    def _revoke(self, first_lease: int) -> None:
        self.first_lease = first_lease

    def accept_soon(self, batch: Batch) -> None:
        """Accept what is done of the batch with the next tick's dispositions."""
        self._settler.accept_soon(batch)

    async def close(self) -> None:
        """Send what is settled and end the stream; what is not settled is delivered again."""
        if self._closed:
            return
        self._closed = self._side.closing = True
        await self._link.close()
        # Where the coordinator hangs the link is cut off, and its side has not heard of the end; twice is harmless.
        self._side.on_lost()
        self._side.inbox.arrived.set()
        if self._on_close is not None:
            self._on_close(self)

    # ------------------------------------------------------------ as a part of several

    @property
    def settler(self) -> Settler:
        """Whom the dispositions of its batches go to."""
        return self._settler

    def start(
        self,
        arrived: asyncio.Event,
        origin: Origin,
        belongs: Callable[[str], bool],
        *,
        paused: bool,
    ) -> None:
        """Begin to connect.

        Args:
            arrived: Set when there is something to take, or will never be.
            origin: Where other parts are, to go on behind.
            belongs: Tells of which topics these are for this part.
            paused: Nothing is wanted before `resume`.
        """
        self._side.inbox.arrived = arrived
        self._side.go_on_after(origin, belongs)
        self._side.paused = paused
        self._link.start()

    async def opened(self, seconds: float) -> None:
        """Wait until the stream is open; raises what `__aenter__` does, and closes nothing."""
        await self._link.opened(seconds)

    def bring_given_back(self) -> None:
        """Hand over again what was given back and has not come again, once this is closed and others go on."""
        self._settler.bring_given_back()

    @property
    def has_more(self) -> bool:
        """Whether something was received that nobody has taken."""
        return not self._side.inbox.is_empty

    @property
    def on_given_back(self) -> Callable[[], None] | None:
        """Called when a message is brought again that the user gave back after the stream had ended."""
        return self._side.inbox.on_put_back

    @on_given_back.setter
    def on_given_back(self, listener: Callable[[], None] | None) -> None:
        self._side.inbox.on_put_back = listener

    def position(self) -> list[EphemeralResume]:
        """Return where an unnamed subscription is; nothing for a named one, whose cursor the coordinator keeps."""
        return self._side.position()
