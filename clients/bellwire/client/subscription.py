"""A subscription: an asynchronous iterator of messages or batches that settles what it hands over."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

from bellwire.client._consumer import Consumer
from bellwire.client.received import Batch
from bellwire.client.settle_failure import SettleFailure

__all__ = ["Subscription"]


class Subscription(Consumer):
    """Brings messages from the bus; made by `Client.subscribe`, opened by `async with`.

    With settle="auto" a delivery is accepted when the next one is asked for, so what is being handled
    when the process dies, or the loop is left, is delivered again. After a lost connection it goes on
    where it was. An iteration ends when the subscription is closed, and raises what ended it otherwise.
    """

    @property
    @abstractmethod
    def dropped_messages(self) -> int:
        """Messages dropped because this subscriber fell behind."""

    @property
    @abstractmethod
    def duplicates_skipped(self) -> int:
        """Messages delivered again after a lost connection and not handed over again."""

    @property
    @abstractmethod
    def expired_messages(self) -> int:
        """Messages not handed over because they waited here longer than `lease_seconds`."""

    @property
    @abstractmethod
    def settle_failures(self) -> Sequence[SettleFailure]:
        """The latest dispositions the coordinator refused, oldest first; at most 100."""

    @property
    @abstractmethod
    def lane(self) -> str:
        """What carries the latest stream: "socket" on the same host, "grpc" elsewhere; empty before the first.

        "direct" while publishers on the same host bring messages past the coordinator. Of streams to several
        groups of coordinators all that there are, with commas between.
        """

    @property
    @abstractmethod
    def direct_obstacle(self) -> str:
        """With `direct=True`: why some or all messages come by the coordinator; empty = nothing is in the way.

        Publishers elsewhere, or before they have fetched their end of a route, are no obstacle and not named.
        """

    @property
    @abstractmethod
    def streams_opened(self) -> int:
        """Streams established so far; more than one per group means that connections were lost."""

    @abstractmethod
    async def __aenter__(self) -> Self:
        """Open the stream, or one to each group of coordinators that the topics concern.

        Raises:
            CallerError: The coordinator refused the subscription; its class says why.
            UnreachableError: No coordinator answered in time.
        """

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    @abstractmethod
    def paused(self) -> bool:
        """True between `pause` and `resume`."""

    @abstractmethod
    async def pause(self) -> None:
        """Have nothing more delivered until `resume`; what was received before is still handed over.

        The window and all leases stay, and so does the pause over lost connections. Of a named
        subscription other members go on, with partitions of their own.
        """

    @abstractmethod
    async def resume(self) -> None:
        """End a pause."""

    @abstractmethod
    def batch_nowait(self) -> Batch | None:
        """Take the next delivery if it is here already, in no turn of the loop; None = there is none.

        Raises:
            BellwireError: It failed for good.
        """

    @abstractmethod
    async def close(self) -> None:
        """Send what is settled and end the stream; what is not settled is delivered again."""
