"""The publish streams of a client, shared by its publishers."""

from __future__ import annotations

import asyncio

from bellwire.bus.v1.publisher_pb2 import AckLevel
from bellwire.client._outbox import Outbox
from bellwire.client._topics import TopicDirectory
from bellwire.client.settings import ClientSettings
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import CallerError


class Outboxes:
    """Makes streams when they are first asked for: one per level and one more for control topics.

    A named producer has a single one: its order and its fence are one.
    """

    def __init__(self, pool: ChannelPool, settings: ClientSettings, client_id: str) -> None:
        self._pool = pool
        self._settings = settings
        self._client_id = client_id
        self._topics = TopicDirectory(pool, settings.publish.batch_messages_max)
        self._shared: dict[tuple[bool, int], Outbox] = {}
        self._named: dict[str, Outbox] = {}

    def shared(self, ack_level: AckLevel.ValueType, *, control: bool) -> Outbox:
        """Return the stream of unnamed producers."""
        outbox = self._shared.get((control, ack_level))
        if outbox is None:
            outbox = self._shared[control, ack_level] = self._open(ack_level, control=control)
        return outbox

    def named(self, producer_name: str, ack_level: AckLevel.ValueType) -> Outbox:
        """Return the stream of a named producer.

        Raises:
            CallerError: It publishes at another level already; a second stream would fence the first.
        """
        outbox = self._named.get(producer_name)
        if outbox is None:
            outbox = self._named[producer_name] = self._open(ack_level, name=producer_name)
        check_level(producer_name, outbox.ack_level, ack_level)
        return outbox

    async def close(self, seconds: float) -> None:
        """Close all; raises the first error when all are closed."""
        outboxes = [*self._shared.values(), *self._named.values()]
        results = await asyncio.gather(
            *(outbox.close(seconds) for outbox in outboxes), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _open(
        self, ack_level: AckLevel.ValueType, *, control: bool = False, name: str = ""
    ) -> Outbox:
        return Outbox(
            self._pool,
            self._topics,
            self._settings,
            client_id=self._client_id,
            ack_level=ack_level,
            control=control,
            producer_name=name,
        )


def check_level(producer_name: str, level: AckLevel.ValueType, asked: AckLevel.ValueType) -> None:
    """Refuse a second level of one named producer.

    Raises:
        CallerError: It publishes at another level already.
    """
    if level != asked:
        raise CallerError(
            f"producer {producer_name!r} publishes at {AckLevel.Name(level)} already: a "
            "second stream would fence the first; use one level, or another name",
            metadata={"producer_name": producer_name},
        )
