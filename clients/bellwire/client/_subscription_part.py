"""What one group of coordinators brings to a subscription of several."""

from __future__ import annotations

import asyncio

from bellwire.client._resume import EphemeralResume
from bellwire.client._stream_subscription import StreamSubscription
from bellwire.client.errors import UnreachableError
from bellwire.client.received import Batch

__all__ = ["SubscriptionPart"]


class SubscriptionPart:
    """What one group brings.

    Attributes:
        group: Its name.
        topics: Topics and patterns that concern it.
        stream: What brings it; None = no coordinator is known yet.
        opening: Waits for one, where none was known.
    """

    def __init__(self, group: str, topics: tuple[str, ...]) -> None:
        self.group = group
        self.topics = topics
        self.stream: StreamSubscription | None = None
        self.opening: asyncio.Task[None] | None = None

    def take(self) -> tuple[StreamSubscription, Batch] | None:
        """Return what is next, if anything is, and the stream that it came by.

        Raises:
            BellwireError: What the part failed with, once all is taken.
        """
        batch = None if self.stream is None else self.stream.batch_nowait()
        return None if self.stream is None or batch is None else (self.stream, batch)

    def position(self) -> list[EphemeralResume]:
        """Return where it is, unnamed and with a stream; nothing otherwise."""
        return [] if self.stream is None else self.stream.position()

    async def opened(self, deadline: float) -> None:
        """Wait until its stream is open.

        Args:
            deadline: Loop time.

        Raises:
            CallerError: The coordinator refused it; its class says why.
            UnreachableError: No coordinator answered in time.
        """
        clock = asyncio.get_running_loop().time
        if self.opening is not None:
            await asyncio.wait([self.opening], timeout=max(0.0, deadline - clock()))
        if self.stream is None:
            raise UnreachableError(
                f"group {self.group!r} has no active coordinator: look at `bellwire info`"
            )
        await self.stream.opened(max(0.0, deadline - clock()))
