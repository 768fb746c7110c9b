"""Streams of a subscription that have ended: what they have left, and their figures."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bellwire.client._stream_subscription import StreamSubscription
from bellwire.client.received import Batch
from bellwire.client.settle_failure import SettleFailure

__all__ = ["FAILURES_MAX", "EndedStreams", "Figures"]

FAILURES_MAX: Final = 100  # Latest refusals kept, of all streams together; policy DROP_OLDEST.
LEFT_MAX: Final = 16  # Streams with a share of the window each; policy BLOCK.


@dataclass
class Figures:
    """What is counted over the streams of a subscription.

    Attributes:
        dropped_messages: Messages dropped because the subscriber fell behind.
        duplicates_skipped: Messages delivered again and not handed over again.
        expired_messages: Messages not handed over because their lease had ended.
        streams_opened: Streams established.
    """

    dropped_messages: int = 0
    duplicates_skipped: int = 0
    expired_messages: int = 0
    streams_opened: int = 0

    def count(self, stream: StreamSubscription, sign: int = 1) -> None:
        """Add what a stream has counted; with a sign of -1 take it out again."""
        self.dropped_messages += sign * stream.dropped_messages
        self.duplicates_skipped += sign * stream.duplicates_skipped
        self.expired_messages += sign * stream.expired_messages
        self.streams_opened += sign * stream.streams_opened


class EndedStreams:
    """Closed streams, each for as long as it has something to hand over.

    Of one that has nothing left only the figures are kept. When its user gives back a message of it, it is here again.

    Attributes:
        settle_failures: The latest dispositions that coordinators refused.
    """

    def __init__(self) -> None:
        self._streams: deque[StreamSubscription] = deque()
        self._past = Figures()
        self._room = asyncio.Event()
        self.settle_failures: deque[SettleFailure] = deque(maxlen=FAILURES_MAX)

    def __len__(self) -> int:
        """How many have something left."""
        return len(self._streams)

    def __iter__(self) -> Iterator[StreamSubscription]:
        """Those, oldest first."""
        return iter(tuple(self._streams))

    def add(self, stream: StreamSubscription, *, hands_over: bool) -> None:
        """Take a stream that is closed.

        Args:
            stream: The stream.
            hands_over: Whether what it has received is handed over; False = somebody else gets it again.
        """
        self.settle_failures.extend(stream.settle_failures)
        if hands_over and stream.has_more:
            self._streams.append(stream)
            return
        self._let_go(stream)

    def take(self) -> tuple[StreamSubscription, Batch] | None:
        """Return what is next, if anything is, and the stream that it came by."""
        while self._streams:
            stream = self._streams[0]
            batch = stream.batch_nowait()
            if batch is not None:
                return stream, batch
            self._let_go(self._streams.popleft())
        return None

    async def wait_for_room(self) -> None:
        """Wait until few enough have something left that one more may end."""
        while len(self._streams) >= LEFT_MAX:
            self._room.clear()
            await self._room.wait()

    def figures(self) -> Figures:
        """Return what all have counted."""
        figures = replace(self._past)
        for stream in self._streams:
            figures.count(stream)
        return figures

    def _let_go(self, stream: StreamSubscription) -> None:
        self._past.count(stream)
        self._room.set()
        stream.on_given_back = partial(self._come_again, stream)

    def _come_again(self, stream: StreamSubscription) -> None:
        stream.on_given_back = None
        self._past.count(stream, -1)
        self._streams.append(stream)
